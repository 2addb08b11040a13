//! Several named adapters on one base.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleDisplay};

use crate::attach::{Adapted, Scope};
use crate::catalogue::Method;
use crate::combine::{Combination, combine};
use crate::error::MethodError;

/// A base model and the adapters that were trained on it, each with a name. At most one of them is
/// active.
///
/// The base's tensors are in memory once: an adapter adds its own tensors, its head and whatever else
/// its method trains. Switching copies nothing.
///
/// ```
/// use burn::{module::Module, nn::{Linear, LinearConfig}, tensor::Device};
/// use finetune_methods::combine::Combination;
/// use finetune_methods::{Adapters, LoraConfig, Method, Scope, Targets};
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
/// for (seed, name) in ["cats", "dogs"].into_iter().enumerate() {
///     let scope = Scope::new("head", &targets, seed as u64);
///     let model = adapters.add(name, &lora, &scope)?.into_model()?;
///     // Train the model here.
///     adapters.put(name, model, lora.clone());
/// }
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
    /// Starts with a base and no adapters.
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

    /// The adapters' names in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.named.keys().map(String::as_str)
    }

    /// Attaches a method to the base under a new name, for training; [`put`](Self::put) stores the
    /// trained model.
    ///
    /// # Errors
    ///
    /// [`MethodError::AdapterName`] if the name is taken, and the errors of [`Method::attach`].
    pub fn add(
        &mut self,
        name: &str,
        method: &Method,
        scope: &Scope<'_>,
    ) -> Result<Adapted<M>, MethodError> {
        self.reject_taken(name)?;
        let adapted = method.attach(self.base.clone(), scope)?;
        let entry = (adapted.model().clone(), method.clone());
        self.named.insert(name.to_owned(), entry);
        Ok(adapted)
    }

    /// Stores a model that was made from this base under a name, replacing the one with that name.
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
    /// [`MethodError::AdapterName`] if there is no adapter with that name.
    pub fn get(&self, name: &str) -> Result<(&M, &Method), MethodError> {
        match self.named.get(name) {
            Some((model, method)) => Ok((model, method)),
            None => Err(self.wrong_name("no", name)),
        }
    }

    /// Removes an adapter and returns the base with that adapter.
    ///
    /// # Errors
    ///
    /// [`MethodError::AdapterName`] if there is no adapter with that name.
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

    /// Makes the adapter with that name the active one.
    ///
    /// # Errors
    ///
    /// [`MethodError::AdapterName`] if there is no adapter with that name.
    pub fn switch(&mut self, name: &str) -> Result<(), MethodError> {
        self.get(name)?;
        self.active = Some(name.to_owned());
        self.merged = None;
        Ok(())
    }

    /// Deactivates the active adapter: the base as it is.
    pub fn disable(&mut self) {
        self.active = None;
        self.merged = None;
    }

    /// The base with the active adapter, merged or not, or the plain base if no adapter is active.
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

    /// Merges the active adapter, so that [`active`](Self::active) is a model of plain layers until
    /// [`unmerge`](Self::unmerge), [`switch`](Self::switch) or [`disable`](Self::disable) is called.
    ///
    /// The adapter and the base stay in memory beside the merged weights. Unmerging therefore restores
    /// the same bits, which subtracting the change would not.
    ///
    /// # Errors
    ///
    /// The errors of [`merge`](crate::merge); nothing changes then.
    pub fn merge(&mut self) -> Result<(), MethodError> {
        self.merged = Some(crate::merge(self.beside())?);
        Ok(())
    }

    /// Undoes [`merge`](Self::merge).
    pub fn unmerge(&mut self) {
        self.merged = None;
    }

    /// Combines several `LoRA` adapters, each with a weight, into one under a new name. What their models
    /// trained besides the factors, such as the head, is averaged with the absolute weights.
    ///
    /// # Errors
    ///
    /// [`MethodError::AdapterName`], and [`MethodError::Combine`] if the adapters cannot be combined.
    pub fn combine(
        &mut self,
        name: &str,
        parts: &[(&str, f64)],
        how: Combination,
    ) -> Result<(), MethodError> {
        self.reject_taken(name)?;
        let mut models = Vec::new();
        for (part, weight) in parts {
            let (model, method) = self.get(part)?;
            models.push((*part, model, method, *weight));
        }
        let combined = combine(&self.base, &models, how)?;
        self.named.insert(name.to_owned(), combined);
        Ok(())
    }

    fn reject_taken(&self, name: &str) -> Result<(), MethodError> {
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
