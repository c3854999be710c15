//! A client over plain TCP.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

const HEAD: &str = "POST /orders HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";

/// A connection that is kept open.
pub(crate) struct Client(BufReader<TcpStream>);

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> io::Result<Self> {
        Ok(Self(BufReader::new(TcpStream::connect(address)?)))
    }

    /// Ends the connection, whatever another thread waits for.
    pub(crate) fn hang_up(&self) -> impl Fn() + use<> {
        let stream = self.0.get_ref().try_clone().unwrap();
        // The service may have ended it before.
        move || _ = stream.shutdown(Shutdown::Both)
    }

    /// Sends the head of a request, and waits until the service asks for its body.
    pub(crate) fn begin(&mut self) {
        let head = format!("{HEAD}Content-Length: 20\r\nExpect: 100-continue\r\n\r\n");
        self.0.get_mut().write_all(head.as_bytes()).unwrap();
        assert_eq!(self.answer().unwrap().status, 100);
    }

    /// Sends an order, and waits for nothing.
    pub(crate) fn send(&mut self, id: i64, cents: u32) -> io::Result<()> {
        let body = format!(r#"{{"id":{id},"cents":{cents}}}"#);
        let request = format!("{HEAD}Content-Length: {}\r\n\r\n{body}", body.len());
        self.0.get_mut().write_all(request.as_bytes())
    }

    /// Sends an order, and waits for the answer.
    pub(crate) fn order(&mut self, id: i64, cents: u32) -> io::Result<Answer> {
        self.send(id, cents)?;
        self.answer()
    }

    /// Waits for an answer.
    pub(crate) fn answer(&mut self) -> io::Result<Answer> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.0.read_line(&mut head)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let head = head.to_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        self.0.read_exact(&mut body)?;
        Ok(Answer { status, head, body: String::from_utf8(body).unwrap() })
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// In small letters.
    pub(crate) head: String,
    pub(crate) body: String,
}
