//! What is said arrives, both ways: whole, in order, once.

use super::super::stage::{Stage, Verdict, broken};
use std::time::Duration;
use tokio::time::sleep;

/// So many lines are many at once.
const MANY: usize = 10_000;

/// The most text that a remote is given to send at a time.
const SEND_BYTES: usize = 8 * 1024;

/// The longest text that is not refused.
const MAX_TEXT: usize = 4096;

pub(super) async fn one_by_one(stage: &mut Stage) -> Verdict {
    for turn in 0..20 {
        let text = format!("the hub's turn {turn}");
        stage.tell(&text)?;
        stage.peer_hears_witness(&text).await?;
        stage.skip_events();
        let text = format!("the peer's turn {turn}");
        stage.send(&format!("{text}\n")).await?;
        stage.all_hear_peer(&text).await?;
        stage.peer_hears_itself(&text).await?;
    }
    Ok(())
}

pub(super) async fn empty_lines(stage: &mut Stage) -> Verdict {
    let texts = ["", "one between", "", ""].map(String::from);
    converse(stage, &texts).await
}

pub(super) async fn any_text(stage: &mut Stage) -> Verdict {
    let mut texts = vec![" spaces around ".into(), "\ttabs\taround\t".into()];
    // Characters of one to four bytes, each of which is at the edge of a buffer at some time.
    for (at, character) in ["x", "é", "☃", "𝄞"].into_iter().enumerate() {
        let begin = "#".repeat(at);
        let filling = character.repeat((MAX_TEXT - at) / character.len());
        texts.push(begin + &filling);
        texts.push(format!(
            "{}{character}",
            "-".repeat(MAX_TEXT - character.len())
        ));
    }
    converse(stage, &texts).await
}

pub(super) async fn too_long(stage: &mut Stage) -> Verdict {
    for len in [MAX_TEXT + 1, MAX_TEXT + 2, SEND_BYTES - 1] {
        stage.send(&format!("{}\n", "x".repeat(len))).await?;
        let next = format!("after {len} bytes");
        stage.send(&format!("{next}\n")).await?;
        stage.all_hear_peer(&next).await?;
        let refusal = format!("* line refused: longer than {MAX_TEXT} bytes");
        stage.peer_hears(&refusal).await?;
        stage.peer_hears_itself(&next).await?;
    }
    Ok(())
}

pub(super) async fn many_at_once(stage: &mut Stage) -> Verdict {
    let texts: Vec<_> = (0..MANY).map(|n| format!("line {n} of {MANY}")).collect();
    converse(stage, &texts).await
}

pub(super) async fn many_sends(stage: &mut Stage) -> Verdict {
    let texts: Vec<_> = (0..1000).map(|n| n.to_string()).collect();
    for text in &texts {
        stage.send(&format!("{text}\n")).await?;
    }
    for text in &texts {
        stage.all_hear_peer(text).await?;
    }
    for text in &texts {
        stage.peer_hears_itself(text).await?;
    }
    Ok(())
}

pub(super) async fn parts_of_lines(stage: &mut Stage) -> Verdict {
    let texts = ["byte by byte", "é, ☃ and 𝄞", "", "the end"];
    let lines = texts.join("\n") + "\n";
    for byte in lines.as_bytes() {
        stage.send_part(&[*byte]).await?;
        // Else they would come together.
        sleep(Duration::from_millis(1)).await;
    }
    for text in texts {
        stage.all_hear_peer(text).await?;
        stage.peer_hears_itself(text).await?;
    }
    for part in ["one and ha", "lf\nand an", "other\n"] {
        stage.send_part(part.as_bytes()).await?;
        sleep(Duration::from_millis(1)).await;
    }
    for text in ["one and half", "and another"] {
        stage.all_hear_peer(text).await?;
        stage.peer_hears_itself(text).await?;
    }
    Ok(())
}

pub(super) async fn short_writes(stage: &mut Stage) -> Verdict {
    pile(stage).await
}

pub(super) async fn one_piece(stage: &mut Stage) -> Verdict {
    pile(stage).await?;
    match stage.notes.pieces() {
        0 | 1 => Ok(()),
        pieces => broken(format!(
            "one call of `deliver` took from its feed {pieces} times, each after it had waited"
        )),
    }
}

/// The peer reads what has piled up before it, which is more than one write takes.
async fn pile(stage: &mut Stage) -> Verdict {
    let text = |n: usize| format!("{n} {}", "é".repeat(n * 7 % 211));
    let texts: Vec<_> = (0..2000).map(text).collect();
    stage.tell_all(&texts)?;
    stage.settle().await;
    for text in &texts {
        stage.peer_hears_witness(text).await?;
    }
    Ok(())
}

/// The peer says all this, together, and others hear it; then the other way around.
async fn converse(stage: &mut Stage, texts: &[String]) -> Verdict {
    let mut together = String::new();
    for text in texts {
        if together.len() + text.len() >= SEND_BYTES {
            stage.send(&std::mem::take(&mut together)).await?;
        }
        together += text;
        together.push('\n');
    }
    stage.send(&together).await?;
    for text in texts {
        stage.all_hear_peer(text).await?;
    }
    for text in texts {
        stage.peer_hears_itself(text).await?;
    }
    stage.tell_all(texts)?;
    for text in texts {
        stage.peer_hears_witness(text).await?;
    }
    Ok(())
}
