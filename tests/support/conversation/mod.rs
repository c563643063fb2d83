//! Conversations written in TOML: what two peers send each other, and what the analysis has to
//! make of it. [`script`] is the file's format, [`packet`] its control packets, [`shorthand`]
//! what stands for several of them, [`wire`] makes
//! frames of them, [`observed`] runs the pipeline and [`compare`] tells the difference.

pub(crate) mod compare;
pub(crate) mod instant;
pub(crate) mod observed;
pub(crate) mod packet;
pub(crate) mod script;
pub(crate) mod shorthand;
pub(crate) mod wire;
