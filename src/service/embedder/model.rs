//! A sentence-transformer read from a directory, on the CPU.
//!
//! The directory is as sentence-transformers saves it: `config.json` of a BERT,
//! `tokenizer.json`, `model.safetensors`, and where they are there `1_Pooling/config.json`
//! (mean of the tokens, or the first one) and `sentence_bert_config.json` (the longest
//! input). Source: Reimers and Gurevych, "Sentence-BERT" (EMNLP 2019).

use std::path::Path;
use std::path::PathBuf;

use candle_core::DType;
use candle_core::Device;
use candle_core::Tensor;
use candle_nn::VarBuilder;
use candle_transformers::models::bert::BertModel;
use candle_transformers::models::bert::Config;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokenizers::Tokenizer;

use super::chunks;

/// Windows that go through the model together.
const BATCH: usize = 16;

/// Why a directory is no model, or a text got no embedding.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    #[error("{path} cannot be read: {cause}", path = path.display())]
    Unreadable { path: PathBuf, cause: String },
    #[error("{path}: {reason}", path = path.display())]
    Unusable { path: PathBuf, reason: String },
    #[error("the model failed: {0}")]
    Failed(#[from] candle_core::Error),
    #[error("a text cannot be split into tokens: {0}")]
    Tokens(String),
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Pooling {
    pooling_mode_cls_token: bool,
    pooling_mode_max_tokens: bool,
    pooling_mode_mean_sqrt_len_tokens: bool,
}

/// One step of a sentence-transformer.
#[derive(Debug, Deserialize)]
struct Module {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Lengths {
    max_seq_length: Option<usize>,
}

/// A loaded model.
pub struct EmbeddingModel {
    bert: BertModel,
    tokenizer: Tokenizer,
    /// Tokens put before and behind each window.
    begin: u32,
    end: u32,
    /// Tokens of a window, without these two.
    window: usize,
    takes_first_token: bool,
    dimension: usize,
    fingerprint: String,
}

impl std::fmt::Debug for EmbeddingModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (dimension, window) = (self.dimension, self.window);
        f.debug_struct("EmbeddingModel")
            .field("dimension", &dimension)
            .field("window", &window)
            .finish_non_exhaustive()
    }
}

impl EmbeddingModel {
    /// Loads a directory; takes about a second for 90 MB.
    ///
    /// # Errors
    /// `Unreadable` and `Unusable` name the file at fault.
    pub fn open(directory: &Path) -> Result<Self, ModelError> {
        let config: Config = read_json(&directory.join("config.json"))?;
        let weights_path = directory.join("model.safetensors");
        let weights = read(&weights_path)?;
        let fingerprint = fingerprint(directory, &weights);
        let unusable =
            |path: &Path, reason: String| ModelError::Unusable { path: path.to_owned(), reason };
        let builder = VarBuilder::from_buffered_safetensors(weights, DType::F32, &Device::Cpu);
        let bert = builder.and_then(|builder| BertModel::load(builder, &config));
        let bert = bert.map_err(|error| unusable(&weights_path, error.to_string()))?;

        let tokens_path = directory.join("tokenizer.json");
        let mut tokenizer = Tokenizer::from_bytes(read(&tokens_path)?)
            .map_err(|error| unusable(&tokens_path, error.to_string()))?;
        // Windows are cut and padded here, by the model's own length.
        tokenizer.with_padding(None);
        tokenizer
            .with_truncation(None)
            .map_err(|error| unusable(&tokens_path, error.to_string()))?;
        let special = |token: &str| {
            let missing = || unusable(&tokens_path, format!("it has no token {token}"));
            tokenizer.token_to_id(token).ok_or_else(missing)
        };
        let (begin, end) = (special("[CLS]")?, special("[SEP]")?);

        check_steps(directory)?;
        let lengths: Lengths = read_optional(&directory.join("sentence_bert_config.json"))?;
        let pooling: Pooling = read_optional(&directory.join("1_Pooling/config.json"))?;
        let longest = lengths.max_seq_length.unwrap_or(usize::MAX);
        let longest = longest.min(config.max_position_embeddings);
        let window = longest.saturating_sub(2);
        if window == 0 {
            let reason = "inputs of two tokens or fewer say nothing".to_owned();
            return Err(unusable(&directory.join("config.json"), reason));
        }
        Ok(Self {
            bert,
            tokenizer,
            begin,
            end,
            window,
            takes_first_token: pooling.pooling_mode_cls_token,
            dimension: config.hidden_size,
            fingerprint,
        })
    }

    /// Length of the embeddings.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// Names the weights: embeddings of another fingerprint are of another space.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// One vector of unit length for each text, in order.
    ///
    /// # Errors
    /// `Tokens` and `Failed`.
    pub fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, ModelError> {
        let tokens: Vec<Vec<u32>> = texts
            .iter()
            .map(|text| {
                let encoded = self.tokenizer.encode(text.as_str(), false);
                encoded
                    .map(|encoding| encoding.get_ids().to_vec())
                    .map_err(|error| ModelError::Tokens(error.to_string()))
            })
            .collect::<Result<_, _>>()?;
        let mut windows: Vec<(usize, &[u32])> = Vec::new();
        for (text, tokens) in tokens.iter().enumerate() {
            windows.extend(chunks::windows(tokens, self.window).into_iter().map(|w| (text, w)));
        }
        // Windows of like length go together, so that little is padded.
        windows.sort_by_key(|(_, window)| window.len());
        let mut found: Vec<Vec<(Vec<f32>, usize)>> = vec![Vec::new(); texts.len()];
        for batch in windows.chunks(BATCH) {
            let vectors = self.forward(batch)?;
            for (&(text, window), vector) in batch.iter().zip(vectors) {
                found[text].push((vector, window.len() + 2));
            }
        }
        Ok(found.iter().map(|vectors| chunks::pooled(vectors)).collect())
    }

    /// The pooled vector of each window.
    fn forward(&self, batch: &[(usize, &[u32])]) -> Result<Vec<Vec<f32>>, ModelError> {
        let length = batch.iter().map(|(_, window)| window.len() + 2).max().unwrap_or(0);
        let mut ids = Vec::with_capacity(batch.len() * length);
        let mut mask = Vec::with_capacity(batch.len() * length);
        for (_, window) in batch {
            ids.push(self.begin);
            ids.extend_from_slice(window);
            ids.push(self.end);
            let padding = length - window.len() - 2;
            ids.extend(std::iter::repeat_n(0, padding));
            mask.extend(std::iter::repeat_n(1_u32, window.len() + 2));
            mask.extend(std::iter::repeat_n(0, padding));
        }
        let shape = (batch.len(), length);
        let ids = Tensor::from_vec(ids, shape, &Device::Cpu)?;
        let mask = Tensor::from_vec(mask, shape, &Device::Cpu)?;
        let states = self.bert.forward(&ids, &ids.zeros_like()?, Some(&mask))?;
        let pooled = if self.takes_first_token {
            states.narrow(1, 0, 1)?.squeeze(1)?
        } else {
            let weights = mask.to_dtype(DType::F32)?.unsqueeze(2)?;
            states.broadcast_mul(&weights)?.sum(1)?.broadcast_div(&weights.sum(1)?)?
        };
        Ok(pooled.to_vec2()?)
    }
}

/// Of everything that the vectors depend on.
fn fingerprint(directory: &Path, weights: &[u8]) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(weights);
    for name in ["tokenizer.json", "sentence_bert_config.json", "1_Pooling/config.json"] {
        // A missing file is as an empty one: the defaults hold.
        hasher.update(&std::fs::read(directory.join(name)).unwrap_or_default());
    }
    hasher.finalize().to_hex()[..16].to_owned()
}

/// Refuses a model with steps that are not done here, which would give other vectors.
fn check_steps(directory: &Path) -> Result<(), ModelError> {
    const KNOWN: [&str; 3] = ["Transformer", "Pooling", "Normalize"];
    let path = directory.join("modules.json");
    let modules: Vec<Module> = read_optional(&path)?;
    let known = |kind: &str| KNOWN.iter().any(|name| kind.ends_with(name));
    if let Some(module) = modules.iter().find(|module| !known(&module.kind)) {
        let reason = format!("the step {} is not known here", module.kind);
        return Err(ModelError::Unusable { path, reason });
    }
    let path = directory.join("1_Pooling/config.json");
    let pooling: Pooling = read_optional(&path)?;
    if pooling.pooling_mode_max_tokens || pooling.pooling_mode_mean_sqrt_len_tokens {
        let reason = "only the mean of the tokens and the first token are known".to_owned();
        return Err(ModelError::Unusable { path, reason });
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>, ModelError> {
    let unreadable = |cause: std::io::Error| ModelError::Unreadable {
        path: path.into(),
        cause: cause.to_string(),
    };
    std::fs::read(path).map_err(unreadable)
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, ModelError> {
    serde_json::from_slice(&read(path)?)
        .map_err(|error| ModelError::Unusable { path: path.into(), reason: error.to_string() })
}

/// The defaults when the file is not there.
fn read_optional<T: DeserializeOwned + Default>(path: &Path) -> Result<T, ModelError> {
    if path.exists() { read_json(path) } else { Ok(T::default()) }
}

#[cfg(test)]
mod tests;
