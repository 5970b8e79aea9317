//! Recognises HTTP and TLS, so that the session can disconnect their clients.

/// The first bytes of a stream. They show whether the peer speaks another protocol.
#[derive(Debug, Default)]
pub(crate) struct Opening {
    bytes: [u8; Self::LEN],
    len: usize,
}

impl Opening {
    /// Enough for the longest method of HTTP, a space and a slash.
    const LEN: usize = 16;

    /// Takes the next bytes of the stream, of which it keeps the first.
    pub(crate) fn see(&mut self, piece: &[u8]) {
        let more = piece.len().min(Self::LEN - self.len);
        self.bytes[self.len..self.len + more].copy_from_slice(&piece[..more]);
        self.len += more;
    }

    /// Whether the stream begins with a handshake record of TLS 1.x.
    pub(crate) fn is_tls(&self) -> bool {
        self.bytes[..self.len].starts_with(&[0x16, 0x03])
    }

    /// Whether the stream begins like an HTTP request. For a first line that was too long to keep;
    /// see [`is_http`] for whole ones.
    pub(crate) fn is_http(&self) -> bool {
        let begin = self.bytes[..self.len].trim_ascii_start();
        let method = begin.iter().take_while(|byte| byte.is_ascii_uppercase());
        let method = method.count();
        let target = &begin[method..];
        method >= 3 && (target.starts_with(b" /") || target.starts_with(b" http"))
    }
}

/// Whether the line begins HTTP/1 or HTTP/2: a method, a target, a version (RFC 9112, section 3).
pub(crate) fn is_http(line: &str) -> bool {
    let words: Vec<_> = line.splitn(4, ' ').collect();
    let [method, target, version] = words[..] else {
        return false;
    };
    !method.is_empty()
        && method.bytes().all(|byte| byte.is_ascii_uppercase())
        && (target == "*" || target.contains(['/', ':']))
        && version.starts_with("HTTP/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_differs_from_chat() {
        for line in [
            "GET / HTTP/1.1",
            "POST /a?b HTTP/1.0",
            "PRI * HTTP/2.0",
            "CONNECT a:1 HTTP/1.1",
        ] {
            assert!(is_http(line), "{line}");
        }
        for line in [
            "",
            "GET",
            "GET / ",
            "get / HTTP/1.1",
            "I like HTTP/1.1",
            "GET / HTTP/1.1 it says",
            "HTTP/1.1 200 OK",
        ] {
            assert!(!is_http(line), "{line}");
        }
    }
}
