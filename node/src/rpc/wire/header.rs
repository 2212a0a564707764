//! What every message carries: header, path, and the state of the upgrade.

use super::{WireError, address, group, host, id};
use group0_api::v1;
use group0_core::{
    ids::Incarnation,
    io::{Header, Path, StateReply},
    upgrade::Stage,
};

/// To the wire.
pub fn header_to(header: &Header) -> v1::Header {
    v1::Header {
        cluster: header.cluster.clone(),
        from: id(header.from.0),
        from_address: header.from_address.to_string(),
        to: header.to.map(|to| id(to.0)),
        incarnation: header.incarnation.0,
        path: Some(path_to(header.path)),
    }
}

/// From the wire.
pub fn header_from(header: Option<v1::Header>) -> Result<Header, WireError> {
    let header = header.ok_or(WireError::Missing("its header"))?;
    Ok(Header {
        from: host(&header.from)?,
        from_address: address(&header.from_address)?,
        to: header.to.as_deref().map(host).transpose()?,
        incarnation: Incarnation(header.incarnation),
        path: path_from(header.path),
        cluster: header.cluster,
    })
}

/// To the wire.
pub const fn path_to(path: Path) -> v1::Path {
    v1::Path { hops: path.hops, fsyncs: path.fsyncs }
}

/// From the wire. It is only counted, so that a lack of it is a zero.
pub fn path_from(path: Option<v1::Path>) -> Path {
    path.map(|path| Path { hops: path.hops, fsyncs: path.fsyncs }).unwrap_or_default()
}

/// To the wire.
pub fn state_to(state: StateReply, path: Path) -> v1::State {
    v1::State {
        path: Some(path_to(path)),
        stage: stage_to(state.stage).into(),
        host: id(state.host.0),
        group: state.group.map(|group| id(group.0)),
        incarnation: state.incarnation.0,
    }
}

/// From the wire.
pub fn state_from(state: &v1::State) -> Result<(StateReply, Path), WireError> {
    let reply = StateReply {
        stage: stage_from(state.stage())?,
        host: host(&state.host)?,
        group: state.group.as_deref().map(group).transpose()?,
        incarnation: Incarnation(state.incarnation),
    };
    Ok((reply, path_from(state.path)))
}

const fn stage_to(stage: Stage) -> v1::Stage {
    match stage {
        Stage::Recovery => v1::Stage::Recovery,
        Stage::UsePreRaft => v1::Stage::UsePreRaftProcedures,
        Stage::Synchronize => v1::Stage::Synchronize,
        Stage::UsePostRaft => v1::Stage::UsePostRaftProcedures,
    }
}

const fn stage_from(stage: v1::Stage) -> Result<Stage, WireError> {
    match stage {
        v1::Stage::Unspecified => Err(WireError::Missing("the stage")),
        v1::Stage::Recovery => Ok(Stage::Recovery),
        v1::Stage::UsePreRaftProcedures => Ok(Stage::UsePreRaft),
        v1::Stage::Synchronize => Ok(Stage::Synchronize),
        v1::Stage::UsePostRaftProcedures => Ok(Stage::UsePostRaft),
    }
}
