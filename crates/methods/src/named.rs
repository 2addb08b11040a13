//! Several named adapters on one base.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleDisplay};

use crate::attach::{Attached, Method, Scope};
use crate::combine::{Combination, combine};
use crate::error::MethodError;

/// A base model and the adapters that were trained on it, each under a name; one of them, or none,
/// is active.
///
/// The base's tensors are held once: an adapter brings its own, its head and whatever else its method
/// trains. Switching costs nothing.
///
/// ```
/// use burn::{module::Module, nn::{Linear, LinearConfig}, tensor::Device};
/// use finetune_methods::{Adapters, Combination, LoraConfig, Method, Scope, Targets};
///
/// #[derive(Module, Debug)]
/// struct Net { body: Linear, head: Linear }
///
/// let device = Device::flex().autodiff();
/// let net = Net {
///     body: LinearConfig::new(64, 32).init(&device),
///     head: LinearConfig::new(32, 5).init(&device),
/// };
/// let targets = Targets::all();
/// let lora = Method::Lora(LoraConfig::default());
/// let mut adapters = Adapters::new(net);
/// adapters.add("cats", &lora, &Scope::new("head", &targets, 0))?;
/// adapters.add("dogs", &lora, &Scope::new("head", &targets, 1))?;
/// adapters.combine("both", &[("cats", 0.5), ("dogs", 0.5)], Combination::Cat)?;
/// adapters.switch("both")?;
/// let model = adapters.active(); // `adapters.disable()` brings the base back
/// # let _ = model;
/// # Ok::<(), finetune_methods::MethodError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Adapters<M> {
    base: M,
    named: BTreeMap<String, (M, Method)>,
    active: Option<String>,
    merged: Option<M>,
}

impl<M: Module + ModuleDisplay> Adapters<M> {
    /// A base without adapters.
    #[must_use]
    pub fn new(base: M) -> Self {
        Self {
            base,
            named: BTreeMap::new(),
            active: None,
            merged: None,
        }
    }

    /// The base.
    #[must_use]
    pub fn base(&self) -> &M {
        &self.base
    }

    /// The adapters' names, in the order of the alphabet.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.named.keys().map(String::as_str)
    }

    /// Attaches a method to the base under a new name, to be trained: [`put`](Self::put) brings the
    /// trained model back.
    ///
    /// # Errors
    ///
    /// [`MethodError::AdapterName`] where the name is taken, and those of [`Method::attach`].
    pub fn add(
        &mut self,
        name: &str,
        method: &Method,
        scope: &Scope<'_>,
    ) -> Result<Attached<M>, MethodError> {
        self.refuse_taken(name)?;
        let attached = method.attach(self.base.clone(), scope)?;
        let entry = (attached.model.clone(), method.clone());
        self.named.insert(name.to_owned(), entry);
        Ok(attached)
    }

    /// Keeps a model that was made from this base under a name, in the place of one that has it.
    pub fn put(&mut self, name: &str, model: M, method: Method) {
        if self.active.as_deref() == Some(name) {
            self.merged = None;
        }
        self.named.insert(name.to_owned(), (model, method));
    }

    /// The base with that adapter on it.
    ///
    /// # Errors
    ///
    /// [`MethodError::AdapterName`] where there is none of that name.
    pub fn get(&self, name: &str) -> Result<(&M, &Method), MethodError> {
        match self.named.get(name) {
            Some((model, method)) => Ok((model, method)),
            None => Err(self.wrong_name("no", name)),
        }
    }

    /// Takes an adapter away, and gives what it was on the base.
    ///
    /// # Errors
    ///
    /// [`MethodError::AdapterName`] where there is none of that name.
    pub fn remove(&mut self, name: &str) -> Result<M, MethodError> {
        let (model, _) = self
            .named
            .remove(name)
            .ok_or_else(|| self.wrong_name("no", name))?;
        if self.active.as_deref() == Some(name) {
            self.disable();
        }
        Ok(model)
    }

    /// Makes an adapter the active one.
    ///
    /// # Errors
    ///
    /// [`MethodError::AdapterName`] where there is none of that name.
    pub fn switch(&mut self, name: &str) -> Result<(), MethodError> {
        self.get(name)?;
        self.active = Some(name.to_owned());
        self.merged = None;
        Ok(())
    }

    /// Makes none active: the base as it is.
    pub fn disable(&mut self) {
        self.active = None;
        self.merged = None;
    }

    /// The base with the active adapter, merged or beside it; or the base where none is.
    #[must_use]
    pub fn active(&self) -> &M {
        self.merged.as_ref().unwrap_or_else(|| self.beside())
    }

    fn beside(&self) -> &M {
        let active = self.active.as_ref();
        active
            .and_then(|name| self.named.get(name))
            .map_or(&self.base, |(model, _)| model)
    }

    /// Merges the active adapter into its weights, so that [`active`](Self::active) is a model of
    /// plain layers until [`unmerge`](Self::unmerge), [`switch`](Self::switch) or
    /// [`disable`](Self::disable).
    ///
    /// The adapter and the base stay as they are, at the cost of the merged weights' memory: what
    /// comes back is the same to the bit, which subtracting a change again would not give.
    ///
    /// # Errors
    ///
    /// Those of [`merge`](crate::merge): no adapter that merges, or values that are not finite;
    /// then nothing is changed.
    pub fn merge(&mut self) -> Result<(), MethodError> {
        self.merged = Some(crate::merge(self.beside())?);
        Ok(())
    }

    /// Takes the active adapter out of the weights again.
    pub fn unmerge(&mut self) {
        self.merged = None;
    }

    /// Makes one `LoRA` adapter of several, under a new name. What of their models trained beside
    /// the factors (the head) is averaged with the weights' shares.
    ///
    /// # Errors
    ///
    /// [`MethodError::AdapterName`], and [`MethodError::Combine`] where the adapters do not go
    /// together.
    pub fn combine(
        &mut self,
        name: &str,
        parts: &[(&str, f64)],
        how: Combination,
    ) -> Result<(), MethodError> {
        self.refuse_taken(name)?;
        let mut models = Vec::new();
        for (part, weight) in parts {
            let (model, method) = self.get(part)?;
            models.push((*part, model, method, *weight));
        }
        let combined = combine(&self.base, &models, how)?;
        self.named.insert(name.to_owned(), combined);
        Ok(())
    }

    fn refuse_taken(&self, name: &str) -> Result<(), MethodError> {
        if self.named.contains_key(name) {
            return Err(self.wrong_name("already an", name));
        }
        Ok(())
    }

    fn wrong_name(&self, found: &'static str, name: &str) -> MethodError {
        MethodError::AdapterName {
            found,
            name: name.to_owned(),
            names: self.named.keys().cloned().collect(),
        }
    }
}
