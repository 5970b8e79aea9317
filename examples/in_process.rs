//! A hub with no sockets at all: one writer, a member that keeps up, and one that does not.
//!
//! ```text
//! cargo run --example in_process
//! ```
//!
//! You will see the first events one at a time, then what each reader was given of 100,000
//! lines, and what it was told that it missed: the two always add up. It ends by itself.

use chat_core::{Batch, Delivery, Hub, HubConfig, LeaveReason, Member};
use std::error::Error;
use tokio_stream::StreamExt;

const LINES: u64 = 100_000;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut config = HubConfig::default();
    config.log_bytes = 256 * 1024; // all that the slow member can ever cost
    let hub = Hub::new(config);

    // One at a time: a member is a stream.
    let mut slow = hub.join("slow".parse()?)?;
    let keen = hub.join("keen".parse()?)?;
    let writer = hub.join("writer".parse()?)?;
    let first = writer.publish("hello")?;
    while let Some(delivery) = slow.next().await {
        let Delivery::Event(event) = delivery else {
            return Err("nothing is missing yet".into());
        };
        println!("slow reads: {event}");
        if event.seq() == first {
            assert_eq!((event.sender(), event.text()), ("writer", "hello"));
            break;
        }
    }

    // Many at a time, beside the writer. The slow member reads nothing meanwhile.
    let reader = tokio::spawn(read_in_batches(keen));
    for n in 0..LINES {
        if n % 64 == 0 {
            hub.pace().await; // a courtesy to those who read; nobody need be waited for
        }
        writer.publish(&format!("line {n}"))?;
    }

    // Leaving is an event like any other; closing is the end of everybody's stream.
    drop(writer);
    hub.close();

    let read = reader.await?;
    println!("keen: {} given, {} missed", read.given, read.missed);
    assert_eq!(read.given + read.missed, 2 + LINES + 1); // writer's arrival, hello, lines, leaving

    let (mut given, mut missed, mut closed) = (0, 0, None);
    while let Some(delivery) = slow.next().await {
        match delivery {
            Delivery::Event(_) => given += 1,
            // Not an error: a slow reader goes on, and knows what it lost.
            Delivery::Gap { missed: n } => missed += n,
            Delivery::Closed(reason) => closed = Some(reason),
        }
    }
    println!("slow: {given} given, {missed} missed");
    assert!(missed > 0, "the log is far shorter than what was written");
    assert_eq!(given + missed, LINES + 1); // lines, leaving
    assert_eq!(closed, Some(LeaveReason::Closed));
    Ok(())
}

struct Read {
    given: u64,
    missed: u64,
}

async fn read_in_batches(mut member: Member) -> Read {
    let mut read = Read {
        given: 0,
        missed: 0,
    };
    let mut batch = Batch::default(); // kept, so that its memory is allocated once
    while member.recv_many(&mut batch).await > 0 {
        for delivery in &batch {
            match delivery {
                Delivery::Event(_) => read.given += 1,
                Delivery::Gap { missed } => read.missed += missed,
                Delivery::Closed(reason) => assert_eq!(reason, LeaveReason::Closed),
            }
        }
    }
    read
}
