use super::*;
use std::time::Duration;

fn unusual() -> TcpOptions {
    TcpOptions {
        keepalive: Some(Duration::from_secs(7)),
        user_timeout: Some(Duration::from_secs(8)),
        unsent_bytes: 9000,
    }
}

/// Accepts a connection without setting options on it.
async fn accept(listeners: &mut TcpListeners) -> Accepted {
    let accepted = poll_fn(|cx| listeners.poll_accept(cx)).await;
    accepted.expect("a peer has connected")
}

async fn connect(listeners: &TcpListeners) -> TcpStream {
    let stream = TcpStream::connect(listeners.addresses()[0]).await;
    stream.expect("the system accepts")
}

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.expect("a port")
}

/// Their effects cannot be seen from outside, or only after minutes.
#[cfg(target_os = "linux")]
#[track_caller]
fn assert_options(stream: &TcpStream, options: &TcpOptions) {
    let socket = SockRef::from(stream);
    assert!(socket.tcp_nodelay().unwrap());
    assert_eq!(socket.keepalive().unwrap(), options.keepalive.is_some());
    if let Some(after) = options.keepalive {
        assert_eq!(socket.tcp_keepalive_time().unwrap(), after);
        let interval = socket.tcp_keepalive_interval().unwrap();
        assert_eq!(interval, Duration::from_secs(10));
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), 6);
    }
    assert_eq!(socket.tcp_user_timeout().unwrap(), options.user_timeout);
    let unsent = socket.tcp_notsent_lowat().unwrap();
    assert_eq!(unsent, options.unsent_bytes);
}

#[cfg(target_os = "linux")]
mod options {
    use super::*;

    #[tokio::test]
    async fn bound_socket_passes_them_on() {
        let mut listeners = TcpListeners::default();
        listeners.set_options(unusual());
        listeners.add("127.0.0.1:0").await.unwrap();
        let _peer = connect(&listeners).await;
        let accepted = accept(&mut listeners).await;
        assert!(accepted.has_options);
        assert_options(&accepted.stream, &unusual());
    }

    #[tokio::test]
    async fn given_socket_passes_them_on() {
        let mut listeners = TcpListeners::from(listener().await);
        // A listener that waits for a peer knows that its backlog is empty.
        let waiting = poll_fn(|cx| Poll::Ready(listeners.poll_accept(cx).is_pending()));
        assert!(waiting.await);
        let _peer = connect(&listeners).await;
        let accepted = accept(&mut listeners).await;
        assert!(accepted.has_options);
        assert_options(&accepted.stream, &TcpOptions::default());
    }

    #[tokio::test]
    async fn changed_ones_are_passed_on() {
        let mut listeners = TcpListeners::from(listener().await);
        let mut off = unusual();
        (off.keepalive, off.user_timeout) = (None, None);
        for options in [unusual(), off] {
            listeners.set_options(options.clone());
            let waiting = poll_fn(|cx| Poll::Ready(listeners.poll_accept(cx).is_pending()));
            assert!(waiting.await);
            let _peer = connect(&listeners).await;
            let accepted = accept(&mut listeners).await;
            assert!(accepted.has_options);
            assert_options(&accepted.stream, &options);
        }
    }

    #[tokio::test]
    async fn backlog_is_given_them() {
        let mut listeners = TcpListeners::bind("127.0.0.1:0").await.unwrap();
        let early = [connect(&listeners).await, connect(&listeners).await];
        listeners.set_options(unusual());
        let late = connect(&listeners).await;
        for _ in early {
            let accepted = accept(&mut listeners).await;
            assert!(!accepted.has_options);
            let inherited = SockRef::from(&accepted.stream).tcp_user_timeout();
            assert_eq!(inherited.unwrap(), TcpOptions::default().user_timeout);
        }
        let early = connect(&listeners).await;
        listeners.set_options(TcpOptions::default());
        for _ in [late, early] {
            let (stream, _) = listeners.accept_stream().await.unwrap();
            assert_options(&stream, &TcpOptions::default());
        }
    }

    #[tokio::test]
    async fn refused_ones_are_set_per_connection() {
        let mut listeners = TcpListeners::bind("127.0.0.1:0").await.unwrap();
        // As if the listening socket had refused them.
        listeners.options = unusual();
        listeners.sockets[0].inheritance = Inheritance::None;
        for _ in 0..2 {
            let _peer = connect(&listeners).await;
            let (stream, _) = listeners.accept_stream().await.unwrap();
            assert_options(&stream, &unusual());
        }
    }

    #[tokio::test]
    async fn extreme_ones_are_bounded() {
        let mut listeners = TcpListeners::default();
        for (time, keepalive, user_timeout) in [
            (Duration::ZERO, 1, 1),
            (Duration::MAX, 32_767, u64::from(u32::MAX / 2)),
        ] {
            listeners.set_options(TcpOptions {
                keepalive: Some(time),
                user_timeout: Some(time),
                unsent_bytes: 9000,
            });
            listeners.add("127.0.0.1:0").await.unwrap();
            let to = *listeners.addresses().last().unwrap();
            let _peer = TcpStream::connect(to).await.unwrap();
            let bounded = TcpOptions {
                keepalive: Some(Duration::from_secs(keepalive)),
                user_timeout: Some(Duration::from_millis(user_timeout)),
                unsent_bytes: 9000,
            };
            assert_options(&accept(&mut listeners).await.stream, &bounded);
        }
    }
}

mod accept {
    use super::*;

    #[tokio::test]
    async fn waiting_listener_is_woken() {
        let mut listeners = TcpListeners::from(listener().await);
        let address = listeners.addresses()[0];
        let peer = tokio::spawn(TcpStream::connect(address));
        let incoming = listeners.accept().await.expect("a peer has connected");
        let peer = peer.await.expect("no panic").expect("the system accepts");
        let name = peer.local_addr().expect("connected").to_string();
        assert_eq!(incoming.name.as_str(), name);
        assert_eq!(incoming.address, Some(address.ip()));
    }
}
