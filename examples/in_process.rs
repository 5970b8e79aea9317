//! A hub without sockets: a publisher, a member that keeps up, and a member that does not.
//!
//! ```text
//! cargo run --example in_process
//! ```
//!
//! You will see the first events one at a time, then how many of 100,000 lines each reader
//! received, and how many it missed: together they are always all. It ends by itself.

use chat_core::{Batch, Delivery, Hub, HubConfig, LeaveReason, Member};
use std::error::Error;
use tokio_stream::StreamExt;

const LINES: u64 = 100_000;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut config = HubConfig::default();
    config.log_bytes = 256 * 1024; // also limits what a slow member costs
    let hub = Hub::new(config);

    // One at a time: a member is a stream.
    let mut slow = hub.join("slow".parse()?)?;
    let fast = hub.join("fast".parse()?)?;
    let publisher = hub.join("publisher".parse()?)?;
    let first = publisher.publish("hello")?;
    while let Some(delivery) = slow.next().await {
        let Delivery::Event(event) = delivery else {
            return Err("a gap or the end came too early".into());
        };
        println!("slow receives: {event}");
        if event.seq() == first {
            assert_eq!((event.subject(), event.text()), ("publisher", "hello"));
            break;
        }
    }

    // Many at a time, concurrently with the publisher. The slow member reads nothing meanwhile.
    let reader = tokio::spawn(read_in_batches(fast));
    for n in 0..LINES {
        if n % 64 == 0 {
            hub.pace().await; // optional: backpressure from members that make progress
        }
        publisher.publish(&format!("line {n}"))?;
    }

    // Leaving publishes an event; closing ends every member's stream.
    drop(publisher);
    hub.close();

    let read = reader.await?;
    println!("fast: {} received, {} missed", read.received, read.missed);
    // The publisher's arrival, its hello, the lines, its departure.
    assert_eq!(read.received + read.missed, 2 + LINES + 1);

    let (mut received, mut missed, mut closed) = (0, 0, None);
    while let Some(delivery) = slow.next().await {
        match delivery {
            Delivery::Event(_) => received += 1,
            // Not an error: a slow reader continues, and knows how much it missed.
            Delivery::Gap { missed: n } => missed += n,
            Delivery::Closed(reason) => closed = Some(reason),
            _ => {}
        }
    }
    println!("slow: {received} received, {missed} missed");
    assert!(missed > 0, "the log holds far fewer lines");
    assert_eq!(received + missed, LINES + 1); // the lines, the departure
    assert_eq!(closed, Some(LeaveReason::Closed));
    Ok(())
}

struct Read {
    received: u64,
    missed: u64,
}

async fn read_in_batches(mut member: Member) -> Read {
    let mut read = Read {
        received: 0,
        missed: 0,
    };
    let mut batch = Batch::default(); // reused, so that its memory is allocated once
    while member.recv_many(&mut batch).await > 0 {
        for delivery in &batch {
            match delivery {
                Delivery::Event(_) => read.received += 1,
                Delivery::Gap { missed } => read.missed += missed,
                Delivery::Closed(reason) => assert_eq!(reason, LeaveReason::Closed),
                _ => {}
            }
        }
    }
    read
}
