//! A build without the feature `embedder`, told to use a model.

use crate::harness::command;

#[test]
fn the_start_ends_with_how_to_get_the_model() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut serve = command("serve");
    serve.current_dir(directory.path()).env("EMBEDDING_MODEL_DIR", directory.path());
    let output = serve.output().expect("the binary starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(errors.contains("EMBEDDING_MODEL_DIR"), "{errors}");
    assert!(errors.contains("--features embedder"), "{errors}");
}
