//! Server-sent events and a bot: a room that web pages read by `EventSource` and write by POST.
//!
//! ```console
//! $ cargo run --example events
//! listening on http://127.0.0.1:8080
//! ```
//!
//! Read it from a second terminal, and write from a third:
//!
//! ```console
//! $ curl -N http://127.0.0.1:8080/events
//! id: 9128406720.0
//! data: bot has arrived
//! ...
//! $ curl -d 'hello' http://127.0.0.1:8080/messages/alice
//! $ curl -d '!count' http://127.0.0.1:8080/messages/alice
//! ```
//!
//! A reader is a `Subscriber`: it is not a member, and its arrival and departure are not announced.
//! Each event has its position as `id`. A browser that reconnects sends the last one, and misses
//! nothing that the log still holds.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{self, KeepAlive, Sse};
use axum::routing::{get, post};
use chat_core::{
    Delivery, EventKind, Hub, HubConfig, JoinError, Member, Name, Position, PublishError, Start,
};
use std::convert::Infallible;
use std::process::ExitCode;
use tokio::net::TcpListener;
use tokio_stream::{Stream, StreamExt};

/// A new reader is shown so many of the last events.
const HISTORY: u64 = 20;

#[tokio::main]
async fn main() -> ExitCode {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8080".into());
    match run(&address).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("events: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(address: &str) -> Result<(), Box<dyn std::error::Error>> {
    let hub = Hub::new(HubConfig::default());
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| format!("cannot listen on {address}: {error}"))?;
    println!("listening on http://{}", listener.local_addr()?);
    let bot = tokio::spawn(count(hub.join("bot".parse()?)?));
    let closed = hub.clone();
    let shutdown = async move {
        // Without a handler for the signal there is nothing to wait for.
        let _ = tokio::signal::ctrl_c().await;
        // Ends the readers' streams, which axum waits for.
        closed.close();
    };
    axum::serve(listener, app(hub))
        .with_graceful_shutdown(shutdown)
        .await?;
    bot.await??;
    Ok(())
}

fn app(hub: Hub) -> Router {
    Router::new()
        .route("/events", get(events))
        .route("/messages/{name}", post(message))
        .with_state(hub)
}

/// The events of the hub, from where the reader left off.
async fn events(
    State(hub): State<Hub>,
    headers: HeaderMap,
) -> Sse<impl Stream<Item = Result<sse::Event, Infallible>>> {
    let last = headers.get("last-event-id");
    let start = match last.and_then(|id| parse_id(id.to_str().ok()?)) {
        Some(position) => Start::At(position),
        None => Start::Last(HISTORY),
    };
    let epoch = hub.position().epoch;
    let stream = hub.subscribe(start).filter_map(move |delivery| {
        let event = sse::Event::default();
        Some(Ok(match delivery {
            // The id is where to go on: after this event.
            Delivery::Event(said) => event
                .id(format!("{epoch}.{}", said.seq() + 1))
                .event(match said.kind() {
                    EventKind::Message => "message",
                    _ => "presence",
                })
                .data(said.line()),
            Delivery::Gap { missed } => event.event("gap").data(missed.to_string()),
            Delivery::Closed(reason) => event.event("closed").data(reason.to_string()),
            _ => return None,
        }))
    });
    Sse::new(stream).keep_alive(KeepAlive::default())
}

fn parse_id(id: &str) -> Option<Position> {
    let (epoch, number) = id.split_once('.')?;
    Some(Position {
        epoch: epoch.parse().ok()?,
        number: number.parse().ok()?,
    })
}

/// Publishes the body under a name, as a member for as long as that takes.
async fn message(
    State(hub): State<Hub>,
    Path(name): Path<String>,
    text: String,
) -> Result<StatusCode, (StatusCode, String)> {
    let refused = |status| move |error: &dyn ToString| (status, error.to_string());
    let name: Name = name
        .parse()
        .map_err(|error| refused(StatusCode::BAD_REQUEST)(&error))?;
    let member = hub.join(name).map_err(|error| match error {
        JoinError::NameTaken => refused(StatusCode::CONFLICT)(&error),
        _ => refused(StatusCode::SERVICE_UNAVAILABLE)(&error),
    })?;
    match member.publish(&text) {
        Ok(_) => Ok(StatusCode::NO_CONTENT),
        Err(error @ PublishError::TooLong { .. }) => {
            Err(refused(StatusCode::PAYLOAD_TOO_LARGE)(&error))
        }
        Err(error) => Err(refused(StatusCode::SERVICE_UNAVAILABLE)(&error)),
    }
}

/// A bot: counts messages except its own, and answers `!count` with the number.
async fn count(mut bot: Member) -> Result<(), PublishError> {
    let mut messages = 0;
    while let Some(delivery) = bot.recv().await {
        match delivery {
            Delivery::Event(event) if event.member() == Some(bot.id()) => {}
            Delivery::Event(event) if event.kind() == EventKind::Message => {
                messages += 1;
                if event.text() == "!count" {
                    match bot.publish(&format!("{messages} messages")) {
                        Err(PublishError::Closed) => break,
                        published => published?,
                    };
                }
            }
            // The bot was too slow for these, so its count is a lower bound from now on.
            Delivery::Gap { .. } => {}
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "events/tests.rs"]
mod tests;
