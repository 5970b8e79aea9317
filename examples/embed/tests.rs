//! The arguments, and the message for a port that is taken.

use super::*;
use tokio::net::TcpListener;

mod arguments {
    use super::*;

    fn parsed(arguments: &[&str]) -> Option<String> {
        address(arguments.iter().map(ToString::to_string))
    }

    #[test]
    fn default_to_localhost() {
        assert_eq!(parsed(&[]).as_deref(), Some("localhost:8000"));
        assert_eq!(parsed(&["9000"]).as_deref(), Some("localhost:9000"));
    }

    #[test]
    fn give_any_address() {
        for given in ["0.0.0.0:0", "[::1]:8000", "example.org:8000"] {
            assert_eq!(parsed(&[given]).as_deref(), Some(given));
        }
    }

    #[test]
    fn without_port_are_refused() {
        for given in [
            &["localhost"] as &[_],
            &["--help"],
            &[""],
            &["8000", "9000"],
        ] {
            assert_eq!(parsed(given), None, "{given:?}");
        }
    }
}

mod error {
    use super::*;

    #[tokio::test]
    async fn names_the_taken_port() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let error = run(&address).await.unwrap_err().to_string();
        let expected = format!("cannot listen on {address}: Address already in use");
        assert!(error.starts_with(&expected), "{error}");
    }
}
