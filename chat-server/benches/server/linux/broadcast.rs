//! The server that one usually writes with tokio: one `broadcast` channel, a task per client, a
//! `select!` between its next line and the next message, a write for each.

use std::io;
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::broadcast::{Sender, channel, error::RecvError};

/// How many messages a client may be behind.
const CAPACITY: usize = 1024;

/// Serves until it is killed; says where on stdout.
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
            // However it ended, it has left.
            let _ = chat(stream, &name, &room).await;
            say(&room, format!("{name} has left\n"));
        });
    }
}

async fn chat(mut stream: TcpStream, name: &str, room: &Sender<Arc<str>>) -> io::Result<()> {
    let (reader, mut writer) = stream.split();
    let mut lines = BufReader::new(reader).lines();
    writer
        .write_all(format!("You are {name}\n").as_bytes())
        .await?;
    say(room, format!("{name} has arrived\n"));
    let mut messages = room.subscribe();
    loop {
        tokio::select! {
            line = lines.next_line() => match line? {
                Some(line) => say(room, format!("{name}: {line}\n")),
                None => return Ok(()),
            },
            message = messages.recv() => match message {
                Ok(message) => writer.write_all(message.as_bytes()).await?,
                // The usual answer: it goes on with what is still there.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return Ok(()),
            },
        }
    }
}

fn say(room: &Sender<Arc<str>>, line: String) {
    // An error says that nobody is here to hear it.
    let _ = room.send(line.into());
}
