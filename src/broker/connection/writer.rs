//! What a connection is writing: control packets and deliveries, in one vectored write.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;

/// Bytes on their way to the socket. Invariant: once begun, both buffers go out whole and in order, so
/// packets are never torn.
#[derive(Default)]
pub(super) struct Writer {
    /// Acknowledgements and other control packets.
    pub(super) control: Vec<u8>,
    /// Messages.
    pub(super) messages: Vec<u8>,
    done: usize,
}

impl Writer {
    /// Writes until everything is out. Returns how many bytes went out in all.
    pub(super) fn poll_write<S: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut S,
        written: &mut u64,
    ) -> Poll<io::Result<()>> {
        let total = self.control.len() + self.messages.len();
        while self.done < total {
            let control = self.control.get(self.done..).unwrap_or_default();
            let messages = &self.messages[self.done.saturating_sub(self.control.len())..];
            let written_now = match (control.is_empty(), messages.is_empty()) {
                (true, _) => Pin::new(&mut *stream).poll_write(cx, messages),
                (false, true) => Pin::new(&mut *stream).poll_write(cx, control),
                (false, false) => {
                    let slices = [IoSlice::new(control), IoSlice::new(messages)];
                    Pin::new(&mut *stream).poll_write_vectored(cx, &slices)
                }
            };
            match std::task::ready!(written_now) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(count) => {
                    self.done += count;
                    *written += count as u64;
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        self.done = 0;
        self.control.clear();
        self.messages.clear();
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use tokio::io::AsyncReadExt;

    #[tokio::test]
    async fn writes_control_before_messages_through_any_narrow_pipe() {
        let (mut near, mut far) = tokio::io::duplex(7);
        let mut writer = Writer { control: vec![1; 20], messages: vec![2; 50], done: 0 };
        let mut written = 0;
        let write = async {
            poll_fn(|cx| writer.poll_write(cx, &mut near, &mut written)).await.unwrap();
            drop(near);
        };
        let mut got = Vec::new();
        let (_, read) = tokio::join!(write, far.read_to_end(&mut got));
        read.unwrap();
        assert_eq!(got, [vec![1; 20], vec![2; 50]].concat());
        assert_eq!((written, writer.control.len(), writer.messages.len()), (70, 0, 0));
    }
}
