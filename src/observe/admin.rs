//! The border to the nodes: their answers, parsed.
