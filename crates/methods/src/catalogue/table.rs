//! What follows from the table of methods.

/// Defines, from one row per kind of adapter, per kind of dynamics and per method:
///
/// - `Adapter`, an enum of all adapters, and the conversion from each of them;
/// - `Dynamics`, an enum of all that changes models while they train, and the conversions;
/// - `Method`, an enum of all methods, the conversion from each one's settings, its names, and the
///   list of all methods.
macro_rules! table {
    (
        adapters { $($(#[$adapter_doc:meta])* $adapter:ident,)* }
        dynamics { $($(#[$dynamics_doc:meta])* $dynamics:ident,)* }
        without_settings { $($(#[$plain_doc:meta])* $plain_name:literal => $plain:ident,)* }
        with_settings { $($(#[$doc:meta])* $name:literal => $variant:ident($config:ident),)* }
    ) => {
        /// A change of one weight, or around its layer.
        ///
        /// The path of an adapter's tensor in the model is that of the weight, `adapter` and the
        /// tensor's name, e.g. `layer1.0.conv1.weight.adapter.lora_a`.
        #[derive(Module, Debug)]
        #[allow(clippy::large_enum_variant)] // one per layer
        pub enum Adapter {
            $($(#[$adapter_doc])* $adapter($adapter),)*
        }

        $(
            impl From<$adapter> for Adapter {
                fn from(adapter: $adapter) -> Self {
                    Self::$adapter(adapter)
                }
            }
        )*

        impl Adapter {
            /// Whether the variant of that name can be merged into its layer.
            pub(crate) fn variant_merges(variant: &str) -> bool {
                $((variant == stringify!($adapter) && $adapter::MERGES))||*
            }

            /// The weight that a dense base weight becomes.
            fn change<const D: usize>(&self, base: Tensor<D>) -> Tensor<D> {
                match self {
                    $(Self::$adapter(adapter) => Change::apply(adapter, base),)*
                }
            }

            /// The layer with this adapter on `x`.
            pub(crate) fn forward<const D: usize>(
                &self,
                site: &impl Site<D>,
                x: Tensor<D>,
            ) -> Tensor<D> {
                match self {
                    $(Self::$adapter(adapter) => Change::forward(adapter, site, x),)*
                }
            }
        }

        /// A method's own part of a training step, for methods that change the model while they
        /// train.
        ///
        /// A training loop calls [`start`](Self::start) once. At each step it adds
        /// [`penalty`](Self::penalty) to the loss, passes the gradients through
        /// [`after_backward`](Self::after_backward), lets its optimiser take the step, and calls
        /// [`after_step`](Self::after_step).
        #[derive(Debug, Clone)]
        pub enum Dynamics {
            $($(#[$dynamics_doc])* $dynamics($dynamics),)*
        }

        $(
            impl From<$dynamics> for Dynamics {
                fn from(dynamics: $dynamics) -> Self {
                    Self::$dynamics(dynamics)
                }
            }
        )*

        impl Dynamics {
            /// Sets how many optimiser steps the run takes, on which the schedule depends.
            pub fn start(&mut self, total_steps: usize) {
                match self {
                    $(Self::$dynamics(dynamics) => dynamics.start(total_steps),)*
                }
            }

            /// What a checkpoint must store besides the model, under names of the method's own.
            #[must_use]
            pub fn state<M: Module>(&self, model: &M) -> Vec<TrainedTensor> {
                match self {
                    $(Self::$dynamics(dynamics) => dynamics.state(model),)*
                }
            }

            /// Restores what [`state`](Self::state) returned.
            ///
            /// # Errors
            ///
            /// [`MethodError::OtherBase`] if it is the state of another model.
            pub fn restore<M: Module>(
                &mut self,
                model: &M,
                state: Vec<TrainedTensor>,
            ) -> Result<(), MethodError> {
                match self {
                    $(Self::$dynamics(dynamics) => dynamics.restore(model, state),)*
                }
            }

            /// What the method adds to the loss.
            #[must_use]
            pub fn penalty<M: Module>(&self, model: &M) -> Option<Tensor<1>> {
                match self {
                    $(Self::$dynamics(dynamics) => dynamics.penalty(model),)*
                }
            }

            /// Returns the gradients that the optimiser is to see.
            #[must_use]
            pub fn after_backward<M: Module>(
                &mut self,
                model: &M,
                gradients: GradientsParams,
            ) -> GradientsParams {
                match self {
                    $(Self::$dynamics(dynamics) => dynamics.after_backward(model, gradients),)*
                }
            }

            /// The model with everything at 0 that the method has removed, for a model whose weights are
            /// not those of the last step, such as their average.
            #[must_use]
            pub fn restrict<M: Module>(&self, model: M) -> M {
                match self {
                    $(Self::$dynamics(dynamics) => dynamics.restrict(model),)*
                }
            }

            /// Changes the model after the optimiser's step `step`; the first is 1.
            ///
            /// Returns the model and what moved: the caller clears the optimiser's state there.
            #[must_use]
            pub fn after_step<M: Module>(&mut self, step: usize, model: M) -> (M, Vec<Moved>) {
                match self {
                    $(Self::$dynamics(dynamics) => dynamics.after_step(step, model),)*
                }
            }
        }

        /// A way to fine-tune a model, with its settings.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "method")]
        pub enum Method {
            $(
                $(#[$plain_doc])*
                #[serde(rename = $plain_name)]
                $plain,
            )*
            $(
                $(#[$doc])*
                #[serde(rename = $name)]
                $variant($config),
            )*
        }

        $(
            impl From<$plain> for Method {
                fn from(_: $plain) -> Self {
                    Self::$plain
                }
            }
        )*
        $(
            impl From<$config> for Method {
                fn from(config: $config) -> Self {
                    Self::$variant(config)
                }
            }
        )*

        impl Method {
            /// The method's name on the command line and in files.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$plain => $plain_name,)*
                    $(Self::$variant(_) => $name,)*
                }
            }

            /// Every method with its default settings.
            #[must_use]
            pub fn all() -> Vec<Self> {
                vec![
                    $(Self::$plain,)*
                    $(Self::$variant($config::default()),)*
                ]
            }

            fn entry(&self) -> &dyn Entry {
                match self {
                    $(Self::$plain => &$plain,)*
                    $(Self::$variant(config) => config,)*
                }
            }
        }
    };
}
pub(super) use table;
