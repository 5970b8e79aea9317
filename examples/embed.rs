//! The hub inside a program with a job of its own: the job publishes its results, a bot answers
//! questions, and people join over TCP.
//!
//! ```text
//! cargo run --example embed               or, to listen elsewhere: -- 9000, or -- 0.0.0.0:8000
//! nc localhost 8000                       in another terminal; type !uptime, !who or anything else
//! ```
//!
//! You will see the job's line every ten seconds, and the bot's answers to every member. Ctrl-C
//! shuts down gracefully: each peer receives what was published before, and a notice.

use chat_core::{Delivery, EventKind, Hub, HubConfig, Member, Name, PublishError};
use chat_server::{ServerConfig, TcpListeners, serve};
use std::process::ExitCode;
use std::{env, error::Error, time::Duration};
use tokio::time::{Instant, interval};

#[tokio::main]
async fn main() -> ExitCode {
    let Some(address) = address(env::args().skip(1)) else {
        eprintln!("usage: embed [[ADDRESS:]PORT]");
        return ExitCode::from(2);
    };
    match run(&address).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("embed: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The address to listen on; `None` if the arguments are not understood.
fn address(mut arguments: impl Iterator<Item = String>) -> Option<String> {
    let address = arguments.next().unwrap_or("localhost:8000".into());
    let address = match address.parse::<u16>() {
        Ok(port) => format!("localhost:{port}"),
        Err(_) => address,
    };
    let is_understood = arguments.next().is_none() && address.contains(':');
    is_understood.then_some(address)
}

async fn run(address: &str) -> Result<(), Box<dyn Error>> {
    let listeners = TcpListeners::bind(address).await?;
    for address in listeners.addresses() {
        println!("listening on {address}");
    }
    let hub = Hub::new(HubConfig::default());

    // A publisher is a member. A member that never reads costs the hub only a cursor.
    let job = tokio::spawn(work(hub.join("job".parse()?)?));
    let name: Name = "bot".parse()?;
    let bot = tokio::spawn(answer(hub.join(name)?));

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

    // The hub is closed, which ends the bot. The job may be waiting for its next tick.
    job.abort();
    bot.await??;
    Ok(())
}

/// The program's own job.
async fn work(member: Member) -> Result<(), PublishError> {
    let mut ticks = interval(Duration::from_secs(10));
    for number in 1.. {
        ticks.tick().await;
        member.publish(&format!("build {number} has passed"))?;
    }
    Ok(())
}

/// Answers the questions of other members until the hub closes.
async fn answer(mut bot: Member) -> Result<(), PublishError> {
    let started = Instant::now();
    while let Some(delivery) = bot.recv().await {
        let answer = match delivery {
            // A bot receives its own messages, too. One that answered them would never stop.
            Delivery::Event(event) if event.member() == Some(bot.id()) => continue,
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
            // A question may be among the missed lines.
            Delivery::Gap { missed } => format!("I missed {missed} lines, ask again"),
            Delivery::Closed(_) => break,
            _ => continue,
        };
        match bot.publish(&answer) {
            // The hub closed between the question and the answer.
            Err(PublishError::Closed) => break,
            published => published?,
        };
    }
    Ok(())
}

#[cfg(test)]
#[path = "embed/tests.rs"]
mod tests;
