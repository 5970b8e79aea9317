//! Properties that must hold for any input of a fuzzer: a module for each fuzz target.
//!
//! They are in this crate, not in that of the targets, so that `cargo test` can check them on the
//! kept corpus without libFuzzer, and so that they can see private parts.

mod client;
pub mod commands;
pub mod decoder;
pub mod event_line;
mod input;
pub mod names;
pub mod sanitize;

#[cfg(test)]
mod corpus {
    use super::{commands, decoder, event_line, names, sanitize};
    use std::fs;
    use std::path::Path;

    /// Checks the kept inputs of one target.
    fn replay(target: &str, check: fn(&[u8])) {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
        let mut inputs = fs::read_dir(corpus.join(target)).unwrap().peekable();
        assert!(inputs.peek().is_some(), "no inputs for {target}");
        for input in inputs {
            let input = input.unwrap().path();
            // Shown if it fails.
            println!("{}", input.display());
            check(&fs::read(input).unwrap());
        }
    }

    #[test]
    fn commands_hold() {
        replay("commands", commands::check);
    }

    #[test]
    fn decoder_holds() {
        replay("decoder", decoder::check);
    }

    #[test]
    fn event_line_holds() {
        replay("event_line", event_line::check);
    }

    #[test]
    fn names_hold() {
        replay("names", names::check);
    }

    #[test]
    fn sanitize_holds() {
        replay("sanitize", sanitize::check);
    }
}
