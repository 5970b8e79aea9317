use super::lend::play;
use super::*;

/// Lines and notices that are lent together, cut at every byte, with and without more output
/// before the rest is taken.
#[test]
fn output_is_whole_after_any_byte() {
    let lines = vec![true, false, true, true, false];
    let uncut = vec![(lines.clone(), vec![usize::MAX; 9])];
    let expected = play(&hub(8 << 20), &uncut, true, &mut Transcript::default());
    for cut in 0..expected.len() {
        for more in [vec![], vec![true, false]] {
            let script = vec![
                (vec![], vec![usize::MAX]),
                (lines.clone(), vec![cut, 1]),
                (more, vec![0, 1, 2, 3, usize::MAX]),
            ];
            let mut transcript = Transcript::default();
            let output = play(&hub(8 << 20), &script, true, &mut transcript);
            let body = output
                .strip_prefix(GREETING)
                .expect("the greeting is first");
            let body = body.strip_suffix(GOODBYE).expect("the notice is last");
            body.lines().for_each(|line| transcript.check_line(line));
            assert_eq!(transcript.outstanding(), 0, "cut after {cut} bytes");
        }
    }
}
