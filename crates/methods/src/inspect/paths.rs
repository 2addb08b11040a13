//! Where a visitor is inside a module: the path so far, and the field that holds the current tensor.

/// What separates a weight's path from the names of its adapter's tensors.
pub(crate) const ADAPTER: &str = ".adapter.";

/// What a mask's name adds to the name of the tensor that it masks.
pub(crate) const MASK: &str = "_mask";

/// A field of a struct: the struct's name and the field's.
///
/// Burn's visitors show tensors without the structs around them, but they name both. A struct whose
/// tensors something else looks for has a constant of this type per field, and a unit test that
/// holds the constants to the derived names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Field<'a> {
    pub(crate) owner: &'a str,
    pub(crate) name: &'a str,
}

impl<'a> Field<'a> {
    pub(crate) const fn new(owner: &'a str, name: &'a str) -> Self {
        Self { owner, name }
    }
}

/// Names of Burn's own layers and of those of their fields that this crate looks for.
pub(crate) mod burn_names {
    use super::Field;

    pub(crate) const LINEAR: &str = "Linear";
    pub(crate) const CONV2D: &str = "Conv2d";
    pub(crate) const BATCH_NORM: &str = "BatchNorm";
    /// Whether the layer updates its running statistics.
    pub(crate) const BATCH_NORM_TRAINING: Field<'static> = Field::new(BATCH_NORM, "training");
    /// What the names of a `BatchNorm`'s statistics begin with.
    pub(crate) const RUNNING: &str = "running_";
}

/// The methods of a visitor or mapper that keep its [`PathStack`], `stack`, up to date.
macro_rules! follow_paths {
    () => {
        fn enter_module(&mut self, name: &str, container: &str) {
            self.stack.enter(name, container);
        }

        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.stack.exit();
        }
    };
}
pub(crate) use follow_paths;

/// The names that a traversal has entered and not left yet.
#[derive(Debug, Default)]
pub(crate) struct PathStack {
    names: Vec<(String, String)>,
}

impl PathStack {
    pub(crate) fn enter(&mut self, name: &str, container: &str) {
        self.names.push((name.to_owned(), container.to_owned()));
    }

    pub(crate) fn exit(&mut self) {
        self.names.pop();
    }

    /// The names joined into a path, without those of enum variants.
    pub(crate) fn path(&self) -> String {
        let names: Vec<_> = self
            .names
            .iter()
            .filter(|(_, container)| !container.starts_with(ENUM))
            .map(|(name, _)| name.as_str())
            .collect();
        names.join(".")
    }

    /// The current field: the last name, and the struct that has it.
    pub(crate) fn field(&self) -> Field<'_> {
        self.names
            .last()
            .map_or(Field::new("", ""), |(name, container)| {
                Field::new(container.strip_prefix(STRUCT).unwrap_or(container), name)
            })
    }

    /// The variant of the enum named `of` that the traversal is in.
    pub(crate) fn variant(&self, of: &str) -> Option<&str> {
        self.names
            .iter()
            .find(|(_, container)| container.strip_prefix(ENUM) == Some(of))
            .map(|(name, _)| name.as_str())
    }
}

/// What Burn puts before the name of an enum, and of a struct.
const ENUM: &str = "Enum:";
const STRUCT: &str = "Struct:";

/// The fields of a module's floating-point tensors, in order: for the tests of [`Field`] constants.
#[cfg(test)]
pub(crate) fn fields<M: burn::module::Module>(module: &M) -> Vec<(String, String)> {
    use burn::Tensor;
    use burn::module::{Flag, ModuleVisitor, Param};

    #[derive(Default)]
    struct Fields {
        stack: PathStack,
        found: Vec<(String, String)>,
    }

    impl Fields {
        fn add(&mut self) {
            let Field { owner, name } = self.stack.field();
            self.found.push((owner.to_owned(), name.to_owned()));
        }
    }

    impl ModuleVisitor for Fields {
        follow_paths!();

        fn visit_flag(&mut self, _: &Param<Flag>) {
            self.add();
        }

        fn visit_float<const D: usize>(&mut self, _: &Param<Tensor<D>>) {
            self.add();
        }

        fn visit_int<const D: usize>(&mut self, _: &Param<Tensor<D, burn::tensor::Int>>) {
            self.add();
        }
    }

    let mut visitor = Fields::default();
    module.visit(&mut visitor);
    visitor.found
}

/// Asserts that each constant names a field of the module.
#[cfg(test)]
pub(crate) fn assert_fields<M: burn::module::Module>(module: &M, constants: &[Field<'_>]) {
    let found = fields(module);
    for Field { owner, name } in constants {
        let wanted = ((*owner).to_owned(), (*name).to_owned());
        assert!(
            found.contains(&wanted),
            "no field {owner}.{name}: {found:?}"
        );
    }
}

#[cfg(test)]
mod tests {
    use burn::nn::BatchNormConfig;
    use burn::nn::LinearConfig;
    use burn::nn::conv::Conv2dConfig;
    use burn::tensor::Device;

    use super::burn_names::{BATCH_NORM, BATCH_NORM_TRAINING, CONV2D, LINEAR, RUNNING};
    use super::{Field, assert_fields, fields};

    #[test]
    fn the_layers_of_burn_and_their_fields_have_these_names() {
        let device = Device::flex();
        let linear = LinearConfig::new(2, 3).init(&device);
        assert_fields(
            &linear,
            &[Field::new(LINEAR, "weight"), Field::new(LINEAR, "bias")],
        );
        let conv = Conv2dConfig::new([2, 3], [1, 1]).init(&device);
        assert_fields(
            &conv,
            &[Field::new(CONV2D, "weight"), Field::new(CONV2D, "bias")],
        );
        let norm = BatchNormConfig::new(2).init(&device);
        let named = ["gamma", "beta"].map(|name| Field::new(BATCH_NORM, name));
        assert_fields(&norm, &named);
        assert_fields(&norm, &[BATCH_NORM_TRAINING]);
        let running = fields(&norm)
            .into_iter()
            .filter(|(_, name)| name.starts_with(RUNNING));
        assert_eq!(running.count(), 2);
    }
}
