//! The HTTP interface, over a real socket.

use super::*;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Fails a test that would hang.
const DEADLINE: Duration = Duration::from_secs(30);

/// Serves a hub, and gives its address.
async fn serve(hub: &Hub) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let app = app(hub.clone());
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

async fn request(address: &str, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// Sends a text, and gives the status of the response.
async fn send(address: &str, name: &str, text: &str) -> String {
    let head = format!(
        "POST /messages/{name} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        text.len()
    );
    let mut stream = request(address, &(head + text)).await;
    let mut response = String::new();
    let read = stream.read_to_string(&mut response);
    timeout(DEADLINE, read).await.unwrap().unwrap();
    response.split(' ').nth(1).unwrap().to_owned()
}

/// Reads the events from an id on, until the last of them.
async fn read_until(address: &str, id: Option<&str>, last: &str) -> String {
    let id = id.map_or(String::new(), |id| format!("Last-Event-ID: {id}\r\n"));
    let head = format!("GET /events HTTP/1.1\r\nHost: x\r\n{id}\r\n");
    let mut stream = request(address, &head).await;
    let mut response = String::new();
    let reads = async {
        while !response.contains(last) {
            let mut piece = [0; 4096];
            let len = stream.read(&mut piece).await.unwrap();
            assert!(len > 0, "{response}");
            response.push_str(str::from_utf8(&piece[..len]).unwrap());
        }
    };
    timeout(DEADLINE, reads).await.unwrap();
    response
}

fn data(response: &str) -> Vec<&str> {
    let lines = response.lines();
    lines
        .filter_map(|line| line.strip_prefix("data: "))
        .collect()
}

mod events {
    use super::*;

    #[tokio::test]
    async fn resume_after_the_last_id() {
        let hub = Hub::new(HubConfig::default());
        let address = serve(&hub).await;
        assert_eq!(send(&address, "alice", "one").await, "204");
        let first = read_until(&address, None, "alice has left").await;
        let expected = ["alice has arrived", "alice: one", "alice has left"];
        assert_eq!(data(&first), expected);
        let mut ids = first.lines().filter_map(|line| line.strip_prefix("id: "));
        let second_id = ids.nth(1).unwrap();
        let resumed = read_until(&address, Some(second_id), "alice has left").await;
        assert_eq!(data(&resumed), ["alice has left"]);
    }

    #[tokio::test]
    async fn end_when_the_hub_closes() {
        let hub = Hub::new(HubConfig::default());
        let address = serve(&hub).await;
        let reads = read_until(&address, None, "event: closed");
        let (_, response) = tokio::join!(async { hub.close() }, reads);
        assert_eq!(data(&response), ["hub closed"]);
    }
}

mod messages {
    use super::*;

    #[tokio::test]
    async fn errors_have_their_status() {
        let hub = Hub::new(HubConfig::default());
        let address = serve(&hub).await;
        let _alice = hub.join("alice".parse().unwrap()).unwrap();
        assert_eq!(send(&address, "alice", "me, too").await, "409");
        assert_eq!(send(&address, "*", "hi").await, "400");
        assert_eq!(send(&address, "bob", &"x".repeat(5000)).await, "413");
        hub.close();
        assert_eq!(send(&address, "bob", "late").await, "503");
    }
}

mod bot {
    use super::*;

    #[tokio::test]
    async fn counts_the_messages_of_others() {
        let hub = Hub::new(HubConfig::default());
        let bot = tokio::spawn(count(hub.join("bot".parse().unwrap()).unwrap()));
        let mut alice = hub.join("alice".parse().unwrap()).unwrap();
        for text in ["hi", "!count", "!count"] {
            alice.publish(text).unwrap();
        }
        let mut answers = Vec::new();
        while answers.len() < 2 {
            let received = timeout(DEADLINE, alice.recv()).await.unwrap();
            match received {
                Some(Delivery::Event(event)) if event.subject() == "bot" => {
                    answers.push(event.text().to_owned());
                }
                other => assert!(other.is_some()),
            }
        }
        assert_eq!(answers, ["2 messages", "3 messages"]);
        hub.close();
        bot.await.unwrap().unwrap();
    }
}
