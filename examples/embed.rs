//! The hub inside a program that has other things to do: a job that announces its results, a bot
//! that answers, and the TCP server beside them, for people.
//!
//! ```text
//! cargo run --example embed
//! nc localhost 8000              in another terminal; then type !uptime, !who or anything else
//! ```
//!
//! You will see the job's line every ten seconds, and the bot's answers to all. Ctrl-C ends it
//! in order: everybody is told, and gets what was said before.

use chat_core::{Delivery, EventKind, Hub, HubConfig, Member, Name, PublishError};
use chat_server::{ServerConfig, TcpListeners, serve};
use std::error::Error;
use std::time::Duration;
use tokio::time::{Instant, interval};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let listeners = TcpListeners::bind("localhost:8000").await?;
    for address in listeners.addresses() {
        println!("listening on {address}");
    }
    let hub = Hub::new(HubConfig::default());

    // Whoever publishes is a member; whoever never reads costs the hub an offset.
    let job = tokio::spawn(work(hub.join("job".parse()?)?));
    let name: Name = "bot".parse()?;
    let bot = tokio::spawn(answer(hub.join(name.clone())?, name));

    let shutdown = {
        let hub = hub.clone();
        async move {
            if let Err(error) = tokio::signal::ctrl_c().await {
                eprintln!("cannot wait for Ctrl-C: {error}");
            }
            // Ends the bot as well; `serve` leaves the hub open.
            hub.close();
        }
    };
    serve(listeners, hub, ServerConfig::default(), shutdown).await;

    // The hub is closed, so the bot has come to its end; the job is in the middle of its wait.
    job.abort();
    bot.await??;
    Ok(())
}

/// What the program is really for.
async fn work(member: Member) -> Result<(), PublishError> {
    let mut pause = interval(Duration::from_secs(10));
    for number in 1.. {
        pause.tick().await;
        member.publish(&format!("build {number} has passed"))?;
    }
    Ok(())
}

/// Answers what others ask, until the hub closes.
async fn answer(mut bot: Member, name: Name) -> Result<(), PublishError> {
    let started = Instant::now();
    while let Some(delivery) = bot.recv().await {
        let answer = match delivery {
            // A bot hears itself, too; one that answers itself never stops.
            Delivery::Event(event) if event.sender() == name.as_str() => continue,
            Delivery::Event(event) if event.kind() == EventKind::Message => {
                match event.text().trim() {
                    "!uptime" => format!("up for {} s", started.elapsed().as_secs()),
                    "!who" => {
                        let roster = bot.hub().roster(20);
                        let names: Vec<_> = roster.names.iter().map(Name::as_str).collect();
                        format!("{} here, among them {}", roster.total, names.join(", "))
                    }
                    _ => continue,
                }
            }
            Delivery::Event(_) => continue,
            // Some of it may have been for the bot: it says so and goes on.
            Delivery::Gap { missed } => format!("I missed {missed} lines, ask again"),
            Delivery::Closed(_) => break,
        };
        match bot.publish(&answer) {
            // It closed between the question and the answer.
            Err(PublishError::Closed) => break,
            published => published?,
        };
    }
    Ok(())
}
