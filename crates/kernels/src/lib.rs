//! CPU kernels for what training spends its time on, on Burn's flex backend.
//!
//! Each operation goes through Burn's extension mechanism, with a backward of its own; backends
//! without a kernel compute it with Burn's ordinary operations. Nothing here knows of models,
//! methods or images.
