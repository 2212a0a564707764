//! Takes in the frames of one client: of a large one the body, once there is room for it beside those of all other clients.

use super::{
    BODY_TIME_MAX, SMALL_FRAME_MAX,
    codec::{Frame, FrameDecoder, FrameError, head},
};
use bytes::BytesMut;
use futures::{StreamExt, TryStreamExt, stream, stream::BoxStream};
use std::{io, mem, sync::Arc};
use tokio::{
    net::tcp::OwnedReadHalf,
    sync::{OwnedSemaphorePermit, Semaphore},
    time,
};
use tokio_util::codec::{Decoder, FramedRead};

/// What a large frame takes of [`super::LARGE_BYTES_MAX`] until it is answered.
pub(super) type Room = OwnedSemaphorePermit;

/// A frame, and its room if it is large.
pub(super) type Received = (Frame, Option<Room>);

/// The frames that come. Reading the next one can be given up and taken up again.
pub(super) fn frames(read: OwnedReadHalf, room: Arc<Semaphore>) -> BoxStream<'static, Result<Received, FrameError>> {
    let parts = FramedRead::new(read, Announcing::default());
    let next = |(mut parts, room)| async move {
        let received = receive(&mut parts, &room).await.transpose()?;
        Some((received, (parts, room)))
    };
    stream::unfold((parts, room), next).boxed()
}

/// Whoever is slow with a large body takes room from all others, so it has a limit.
async fn receive(
    parts: &mut FramedRead<OwnedReadHalf, Announcing>,
    room: &Arc<Semaphore>,
) -> Result<Option<Received>, FrameError> {
    match parts.try_next().await? {
        None => Ok(None),
        Some(Part::Whole(frame)) => Ok(Some((frame, None))),
        Some(Part::Announced(bytes)) => {
            let room = room.clone().acquire_many_owned(bytes).await.ok();
            let part = time::timeout(BODY_TIME_MAX, parts.try_next()).await.map_err(io::Error::from)??;
            Ok(part.and_then(Part::whole).map(|frame| (frame, room)))
        }
    }
}

/// What comes of a frame.
enum Part {
    /// It is large, its body takes so many bytes, and they are read when the next part is asked for.
    Announced(u32),
    /// All of it.
    Whole(Frame),
}

impl Part {
    fn whole(self) -> Option<Frame> {
        match self {
            Self::Announced(_) => None,
            Self::Whole(frame) => Some(frame),
        }
    }
}

#[derive(Default)]
struct Announcing {
    /// Whether the next frame has been.
    is_announced: bool,
}

impl Decoder for Announcing {
    type Item = Part;
    type Error = FrameError;

    fn decode(&mut self, bytes: &mut BytesMut) -> Result<Option<Part>, FrameError> {
        let Some(header) = head(bytes)? else { return Ok(None) };
        if header.length > SMALL_FRAME_MAX && !mem::replace(&mut self.is_announced, true) {
            return Ok(Some(Part::Announced(u32::try_from(header.length).unwrap_or(u32::MAX))));
        }
        let frame = FrameDecoder.decode(bytes)?;
        self.is_announced &= frame.is_none();
        Ok(frame.map(Part::Whole))
    }
}
