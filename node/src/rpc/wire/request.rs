//! Requests that are more than their header.

use super::{WireError, address, from_versioned, group, group_bytes, host, id, raft, versioned};
use group0_api::v1;
use group0_core::{
    gossip::Endpoint,
    ids::{Generation, GroupId, HostId},
    io::{DiscoveryPeer, PeerRequest, Replacement},
    raft::Member,
};

/// To the wire.
pub fn exchange_request_to(header: v1::Header, peers: &[DiscoveryPeer], bootstrapped: bool) -> v1::Group0PeerExchangeRequest {
    v1::Group0PeerExchangeRequest { header: Some(header), peers: peers.iter().map(peer_to).collect(), bootstrapped }
}

/// From the wire.
pub fn exchange_request_from(peers: &[v1::DiscoveryPeer], bootstrapped: bool) -> Result<PeerRequest, WireError> {
    Ok(PeerRequest::Group0PeerExchange { peers: peers_from(peers)?, bootstrapped })
}

/// To the wire.
pub fn modify_to(header: v1::Header, of: GroupId, add: &[(Member, bool)], remove: &[HostId]) -> v1::Group0ModifyConfigRequest {
    let new = |&(member, can_vote): &(Member, bool)| v1::NewMember { member: Some(raft::member_to(member)), can_vote };
    v1::Group0ModifyConfigRequest {
        header: Some(header),
        group: group_bytes(of),
        add: add.iter().map(new).collect(),
        remove: remove.iter().map(|host| id(host.0)).collect(),
    }
}

/// From the wire.
pub fn modify_from(request: &v1::Group0ModifyConfigRequest) -> Result<PeerRequest, WireError> {
    let new = |new: &v1::NewMember| {
        let member = new.member.as_ref().ok_or(WireError::Missing("a member to add"))?;
        Ok((raft::member_from(member)?, new.can_vote))
    };
    Ok(PeerRequest::Group0ModifyConfig {
        group: group(&request.group)?,
        add: request.add.iter().map(new).collect::<Result<_, _>>()?,
        remove: request.remove.iter().map(|id| host(id)).collect::<Result<_, _>>()?,
    })
}

/// To the wire.
pub fn join_request_to(header: v1::Header, endpoint: &Endpoint, replaces: Option<&Replacement>) -> v1::JoinRingRequest {
    let replaces = replaces.map(|replaced| v1::Replacement {
        host: id(replaced.host.0),
        ignore: replaced.ignore.iter().map(|host| id(host.0)).collect(),
    });
    v1::JoinRingRequest { header: Some(header), versioned: versioned(endpoint), replaces }
}

/// From the wire.
pub fn join_request_from(request: &v1::JoinRingRequest) -> Result<PeerRequest, WireError> {
    let replaced = |replaced: &v1::Replacement| {
        let ignore = replaced.ignore.iter().map(|id| host(id)).collect::<Result<_, _>>()?;
        Ok(Replacement { host: host(&replaced.host)?, ignore })
    };
    let endpoint = from_versioned(&request.versioned, "an endpoint")?;
    Ok(PeerRequest::JoinRing { endpoint, replaces: request.replaces.as_ref().map(replaced).transpose()? })
}

/// To the wire.
pub fn peer_to(peer: &DiscoveryPeer) -> v1::DiscoveryPeer {
    v1::DiscoveryPeer { host: peer.host.map(|host| id(host.0)), address: peer.address.to_string(), generation: peer.generation.0 }
}

/// From the wire.
pub fn peers_from(peers: &[v1::DiscoveryPeer]) -> Result<Vec<DiscoveryPeer>, WireError> {
    let peer = |peer: &v1::DiscoveryPeer| {
        Ok(DiscoveryPeer {
            host: peer.host.as_deref().map(host).transpose()?,
            address: address(&peer.address)?,
            generation: Generation(peer.generation),
        })
    };
    peers.iter().map(peer).collect()
}
