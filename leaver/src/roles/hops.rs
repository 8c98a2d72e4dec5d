//! How long each hop takes. One metric of the whole way; each part measures the hops that end with it.

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// By `hop` and by where: `source`, `lane` or `downstream`.
pub const HOP_SECONDS: &str = "leaver_hop_seconds";

pub(super) type Hops = Family<[(&'static str, String); 2], Histogram, fn() -> Histogram>;

/// From a hop within the process to a run that reads a large source, or to the end of a series of sweeps.
fn seconds() -> Histogram {
    Histogram::new([
        0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 150.0, 600.0, 3_600.0,
    ])
}

pub(super) fn register(registry: &mut Registry) -> Hops {
    let hops = Hops::new_with_constructor(seconds as fn() -> Histogram);
    registry.register(
        HOP_SECONDS,
        "Since the hop before it, by the hops of `identity trace`; `settled` since `applied`",
        hops.clone(),
    );
    hops
}
