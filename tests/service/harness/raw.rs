//! Calls whose message is any bytes at all.

use tonic::Request;
use tonic::Status;
use tonic::client::Grpc;
use tonic::codec::Codec;
use tonic::codec::DecodeBuf;
use tonic::codec::Decoder;
use tonic::codec::EncodeBuf;
use tonic::codec::Encoder;
use tonic::codegen::Bytes;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;

/// Sends `message` to `/personalization.v1.{path}` and returns the bytes of the answer.
pub async fn call_with_bytes(
    channel: &Channel,
    path: &str,
    message: Vec<u8>,
) -> Result<usize, Status> {
    let mut client = Grpc::new(channel.clone());
    client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let path = PathAndQuery::try_from(format!("/personalization.v1.{path}")).expect("a path");
    let answer = client.unary(Request::new(message), path, Verbatim).await?;
    Ok(answer.into_inner())
}

#[derive(Clone, Copy, Default)]
struct Verbatim;

impl Codec for Verbatim {
    type Encode = Vec<u8>;
    type Decode = usize;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Verbatim {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        prost::bytes::BufMut::put(buffer, Bytes::from(item));
        Ok(())
    }
}

impl Decoder for Verbatim {
    type Item = usize;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<usize>, Status> {
        let bytes = prost::bytes::Buf::remaining(buffer);
        prost::bytes::Buf::advance(buffer, bytes);
        Ok(Some(bytes))
    }
}
