//! The loaded model against figures of another implementation.

use std::path::PathBuf;

use super::*;

/// The first numbers of all-MiniLM-L6-v2's embeddings, by a BERT written apart in numpy
/// (f64) over the same weights.
const GOLDEN: [(&str, [f32; 8]); 3] = [
    (
        "A boy and his toys",
        [-0.043234, 0.080131, -0.005723, -0.076408, -0.067802, 0.039438, 0.092719, 0.055218],
    ),
    (
        "Grilled cheese with tomatoes",
        [-0.06688, 0.008382, -0.065845, 0.075, -0.049689, -0.013704, 0.009647, -0.021198],
    ),
    (
        "Ein Film über den Weltraum",
        [-0.067552, 0.054846, -0.052002, -0.007647, -0.054095, 0.04074, 0.06885, 0.043721],
    ),
];

fn model() -> EmbeddingModel {
    let directory = std::env::var_os("TEST_EMBEDDING_MODEL_DIR").map(PathBuf::from).expect(
        "TEST_EMBEDDING_MODEL_DIR is not set: scripts/test sets it; by hand, set it to what \
         scripts/install-embedding-model prints",
    );
    EmbeddingModel::open(&directory).expect("the model that the script unpacked")
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

#[test]
fn embeddings_are_those_of_another_implementation() {
    let texts = GOLDEN.map(|(text, _)| text.to_owned());
    let embeddings = model().embed(&texts).unwrap();
    for (embedding, (text, golden)) in embeddings.iter().zip(GOLDEN) {
        assert_eq!(embedding.len(), 384);
        assert!((cosine(embedding, embedding) - 1.0).abs() < 1e-5);
        for (value, expected) in embedding.iter().zip(golden) {
            assert!((value - expected).abs() < 1e-4, "{text}: {value} against {expected}");
        }
    }
    assert!((cosine(&embeddings[0], &embeddings[1]) - 0.033_546).abs() < 1e-4);
}

#[test]
fn texts_of_one_meaning_are_near_and_their_neighbours_in_a_batch_change_nothing() {
    let model = model();
    let texts = [
        "Toy dolls come to life when nobody is watching",
        "A cowboy doll and a space ranger toy become friends",
        "The central bank raised interest rates by half a point",
    ]
    .map(str::to_owned);
    let together = model.embed(&texts).unwrap();
    let near = cosine(&together[0], &together[1]);
    assert!(near > cosine(&together[0], &together[2]) + 0.2);
    let alone = model.embed(&texts[2..]).unwrap();
    assert!(cosine(&alone[0], &together[2]) > 0.999_99);
}

#[test]
fn a_long_text_is_the_mean_of_its_windows_by_tokens() {
    let model = model();
    let long = "Chop the onions. ".repeat(50) + &"The rocket left. ".repeat(50);
    let tokens = model.tokenizer.encode(long.as_str(), false).unwrap().get_ids().to_vec();
    let windows = chunks::windows(&tokens, model.window);
    assert!(windows.len() > 1);
    let parts: Vec<(Vec<f32>, usize)> = windows
        .iter()
        .map(|window| (model.forward(&[(0, *window)]).unwrap().remove(0), window.len() + 2))
        .collect();
    let expected = chunks::pooled(&parts);
    assert!(cosine(&model.embed(&[long]).unwrap()[0], &expected) > 0.999_99);
}

#[test]
fn a_model_with_a_step_that_is_not_done_here_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let step = r#"[{"type": "sentence_transformers.models.Dense"}]"#;
    std::fs::write(directory.path().join("modules.json"), step).unwrap();
    let refused = check_steps(directory.path()).unwrap_err().to_string();
    assert!(refused.contains("modules.json") && refused.contains("Dense"), "{refused}");
}

#[test]
fn a_directory_that_is_no_model_is_refused_with_the_file_at_fault() {
    let directory = tempfile::tempdir().unwrap();
    let missing = EmbeddingModel::open(directory.path()).unwrap_err().to_string();
    assert!(missing.contains("config.json"), "{missing}");
    std::fs::write(directory.path().join("config.json"), "{}").unwrap();
    let wrong = EmbeddingModel::open(directory.path()).unwrap_err().to_string();
    assert!(wrong.contains("config.json"), "{wrong}");
}
