//! What neither lines nor spans want is turned away before either is asked.
//!
//! A layer with a filter of its own remembers that it does not want what comes next on its thread, until that has come. Where
//! no layer wants it, it never comes, and the next line or span is taken for it and lost. Libraries that write by `log` ask
//! for every record, and the macros of `tracing` where they cannot know beforehand.

use tracing_subscriber::filter::{FilterFn, Targets, filter_fn};

/// The outermost layer over those with these filters.
pub(super) fn by_either(
    lines: Targets,
    spans: Option<Targets>,
) -> FilterFn<impl Fn(&tracing::Metadata<'_>) -> bool + Clone> {
    filter_fn(move |what| {
        let is_wanted = |targets: &Targets| targets.would_enable(what.target(), what.level());
        is_wanted(&lines) || spans.as_ref().is_some_and(is_wanted)
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tracing::Subscriber;
    use tracing::dispatcher;
    use tracing_subscriber::Layer;
    use tracing_subscriber::layer::{Context, SubscriberExt};

    use super::*;

    #[derive(Clone, Default)]
    struct Counting(Arc<AtomicUsize>);

    impl<S: Subscriber> Layer<S> for Counting {
        fn on_event(&self, _: &tracing::Event<'_>, _: Context<'_, S>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }

        fn on_new_span(&self, _: &tracing::span::Attributes<'_>, _: &tracing::span::Id, _: Context<'_, S>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn what_nobody_wants_hides_nothing_that_comes_after_it() {
        let (lines, spans) = (Counting::default(), Counting::default());
        let info: Targets = "info,somebody=debug".parse().unwrap();
        let ours: Targets = "leaver=info".parse().unwrap();
        let registry = tracing_subscriber::registry()
            .with(lines.clone().with_filter(info.clone()))
            .with(spans.clone().with_filter(ours.clone()))
            .with(by_either(info, Some(ours)));
        tracing::subscriber::with_default(registry, || {
            let unwanted = tracing::debug_span!("of no interest");
            let unwanted = unwanted.metadata().unwrap();
            for _ in 0..3 {
                assert!(!dispatcher::get_default(|all| all.enabled(unwanted)));
                drop(tracing::info_span!("of interest"));
            }
            assert!(!dispatcher::get_default(|all| all.enabled(unwanted)));
            tracing::info!("a line");
        });
        assert_eq!((lines.0.load(Ordering::Relaxed), spans.0.load(Ordering::Relaxed)), (4, 4));
    }
}
