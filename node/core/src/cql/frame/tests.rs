//! Round trips, hostile bytes, and cassandra-protocol's opinion of what we send.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::{
    io::{CqlError, ResultSet, SchemaChange, SchemaEvent, SchemaTarget},
    value::{CqlType, Value},
};
use proptest::prelude::*;

fn split(frame: &[u8]) -> (Header, &[u8]) {
    let header = Header::read(frame).unwrap();
    let body = frame.get(HEADER_LEN..).unwrap();
    assert_eq!(header.length, body.len());
    (header, body)
}

fn read_back(response: &Response) -> Response {
    let frame = response.write(7);
    let (header, body) = split(&frame);
    assert_eq!((header.stream, header.version, header.from_server), (7, VERSION, true));
    read_response(&header, body).unwrap()
}

fn parameters() -> Parameters {
    Parameters {
        consistency: 1,
        values: vec![(Some("a".to_owned()), Bound::Bytes(vec![1])), (Some("b".to_owned()), Bound::Unset)],
        skip_metadata: true,
        page_size: Some(10),
        paging_state: Some(vec![9]),
    }
}

fn rows() -> RowsBody {
    let kinds = ["text", "int", "uuid", "inet", "map<text, frozen<list<bigint>>>", "set<text>", "float", "tuple<int, boolean>"];
    let columns = kinds.iter().map(|kind| ((*kind).to_owned(), kind.parse().unwrap())).collect();
    let values = vec![
        Value::text("é"),
        Value::Int(-1),
        Value::Uuid(uuid::Uuid::from_u128(7)),
        Value::Inet("::1".parse().unwrap()),
        Value::Map(vec![(Value::text("k"), Value::List(vec![Value::Bigint(i64::MIN)]))]),
        Value::text_set(["b", "a"]),
        Value::Float(1.5.into()),
        Value::List(vec![Value::Int(1), Value::Boolean(true)]),
    ];
    let set = ResultSet {
        keyspace: "ks".to_owned(),
        table: "t".to_owned(),
        columns,
        rows: vec![values.into_iter().map(Some).collect(), vec![None; kinds.len()]],
    };
    RowsBody { set, paging_state: Some(vec![1, 2]), ..RowsBody::default() }
}

fn event() -> SchemaEvent {
    SchemaEvent { change: SchemaChange::Created, target: SchemaTarget::Table, keyspace: "ks".to_owned(), name: "t".to_owned() }
}

fn responses() -> Vec<Response> {
    let address = "127.0.0.1:9042".parse().unwrap();
    let message = "why".to_owned();
    let prepared = PreparedBody {
        id: vec![1, 2, 3],
        keyspace: "ks".to_owned(),
        table: "t".to_owned(),
        markers: vec![("k".to_owned(), CqlType::Text)],
        key_markers: vec![0],
        columns: Some(vec![("v".to_owned(), CqlType::Timeuuid)]),
        ..PreparedBody::default()
    };
    vec![
        Response::Ready,
        Response::Void,
        Response::Supported([("CQL_VERSION".to_owned(), vec!["3.4.5".to_owned()])].into()),
        Response::SetKeyspace("ks".to_owned()),
        Response::SchemaChange(event()),
        Response::Prepared(PreparedBody { columns: None, markers: Vec::new(), key_markers: Vec::new(), ..prepared.clone() }),
        Response::Prepared(prepared),
        Response::Event(Event::Schema(SchemaEvent { target: SchemaTarget::Keyspace, name: String::new(), ..event() })),
        Response::Event(Event::Status { up: false, address }),
        Response::Event(Event::Topology { joined: true, address }),
        Response::Error(ErrorBody::Cql(CqlError::Invalid(message.clone()))),
        Response::Error(ErrorBody::Cql(CqlError::Unavailable { message: message.clone(), required: 2, alive: 1 })),
        Response::Error(ErrorBody::Cql(CqlError::AlreadyExists {
            message: message.clone(),
            keyspace: "ks".to_owned(),
            table: "t".to_owned(),
        })),
        Response::Error(ErrorBody::Unprepared(vec![4])),
        Response::Error(unsupported_version(66)),
        Response::Rows(rows()),
    ]
}

#[test]
fn responses_read_back() {
    for mut response in responses() {
        let read = read_back(&response);
        // `frozen` does not travel.
        if let Response::Rows(rows) = &mut response {
            for (_, kind) in &mut rows.set.columns {
                *kind = kind.to_string().replace("frozen<list<bigint>>", "list<bigint>").parse().unwrap();
            }
        }
        assert_eq!(read, response);
    }
}

#[test]
fn another_codec_reads_our_responses() {
    use cassandra_protocol::{compression::Compression, frame::Envelope};
    for response in responses() {
        let frame = response.write(3);
        let parsed = Envelope::from_buffer(&frame, Compression::None).unwrap();
        assert_eq!(parsed.envelope.stream_id, 3);
        assert!(parsed.envelope.response_body().is_ok(), "{response:?}: {:?}", parsed.envelope.response_body());
    }
}

#[test]
fn requests_read_back() {
    for request in [
        Request::Options,
        Request::Startup([("CQL_VERSION".to_owned(), "3.0.0".to_owned())].into()),
        Request::Register(vec!["SCHEMA_CHANGE".to_owned()]),
        Request::Query { text: "SELECT 1".to_owned(), parameters: parameters() },
        Request::Prepare { text: "é".to_owned() },
        Request::Execute { id: vec![0; 16], parameters: Parameters::default() },
        Request::Batch,
    ] {
        let frame = request.write(-2);
        let (header, body) = split(&frame);
        assert_eq!(header.stream, -2);
        assert_eq!(Request::read(&header, body).unwrap(), request);
    }
}

#[test]
fn a_body_too_long_is_refused_before_it_is_read() {
    let mut frame = Request::Options.write(0);
    frame.splice(5..9, 0x7fff_ffff_i32.to_be_bytes());
    assert!(Header::read(&frame).is_err());
    frame.splice(5..9, (-1_i32).to_be_bytes());
    assert!(Header::read(&frame).is_err());
}

#[test]
fn user_types_show_their_fields_if_known() {
    let kind = CqlType::UserType("u".to_owned());
    let mut writer = Writer::default();
    crate::cql::wire::write_type(&mut writer, &kind, "ks", &[("u".to_owned(), vec![("f".to_owned(), CqlType::Int)])].into());
    assert_eq!(crate::cql::wire::read_type(&mut Reader::new(&writer.finish())).unwrap(), kind);
    let mut writer = Writer::default();
    crate::cql::wire::write_type(&mut writer, &kind, "ks", &[("u".to_owned(), vec![("f".to_owned(), kind.clone())])].into());
    assert!(!writer.finish().is_empty(), "a type within itself ends");
}

proptest! {
    #[test]
    fn arbitrary_bodies_never_panic(opcode in 0_u8..17, flags in 0_u8..16, body in proptest::collection::vec(any::<u8>(), 0..120)) {
        let header = Header { version: VERSION, from_server: false, flags, stream: 0, opcode, length: body.len() };
        let _ = Request::read(&header, &body);
        let _ = read_response(&header, &body);
        let _ = Header::read(&body);
    }

    #[test]
    fn truncated_frames_never_panic(which in 0_usize..16, keep in 0_usize..200, flip in any::<u8>(), at in 0_usize..200) {
        let mut frame = responses().get(which).unwrap().write(1);
        frame.truncate(keep.max(HEADER_LEN));
        if let Some(byte) = frame.get_mut(at.max(HEADER_LEN)) { *byte ^= flip; }
        if let Ok(header) = Header::read(&frame) {
            let _ = read_response(&header, frame.get(HEADER_LEN..).unwrap());
        }
    }
}
