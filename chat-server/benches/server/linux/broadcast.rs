//! A typical tokio chat server: one `broadcast` channel, a task per client, a `select!` between the
//! client's next line and the next message, a write per message.

use std::io;
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::broadcast::{Sender, channel, error::RecvError};

/// Messages that the channel keeps for slow clients.
const CAPACITY: usize = 1024;

/// Serves until the process is killed; prints the address to stdout.
pub(crate) fn serve() -> io::Result<()> {
    Runtime::new()?.block_on(accept())
}

async fn accept() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on {}", listener.local_addr()?);
    let (room, _) = channel::<Arc<str>>(CAPACITY);
    loop {
        let (stream, address) = listener.accept().await?;
        let room = room.clone();
        tokio::spawn(async move {
            let name = address.to_string();
            // The client has left, with or without an error.
            let _ = chat(stream, &name, &room).await;
            publish(&room, format!("{name} has left\n"));
        });
    }
}

async fn chat(mut stream: TcpStream, name: &str, room: &Sender<Arc<str>>) -> io::Result<()> {
    let (reader, mut writer) = stream.split();
    let mut lines = BufReader::new(reader).lines();
    writer
        .write_all(format!("You are {name}\n").as_bytes())
        .await?;
    publish(room, format!("{name} has arrived\n"));
    let mut messages = room.subscribe();
    loop {
        tokio::select! {
            line = lines.next_line() => match line? {
                Some(line) => publish(room, format!("{name}: {line}\n")),
                None => return Ok(()),
            },
            message = messages.recv() => match message {
                Ok(message) => writer.write_all(message.as_bytes()).await?,
                // The typical handling: continue with the oldest message kept.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return Ok(()),
            },
        }
    }
}

fn publish(room: &Sender<Arc<str>>, line: String) {
    // An error means that there are no receivers.
    let _ = room.send(line.into());
}
