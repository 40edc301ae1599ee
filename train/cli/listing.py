"""The list of models that `python -m train` prints, by family, with one plain sentence each."""

from collections.abc import Iterator

FAMILIES: dict[str, dict[str, str]] = {
    "Dense models, over sites in any order: images of few levels, tables": {
        "fvsbn": "A logistic regression for every pixel, on the pixels before it.",
        "nade": "NADE: one hidden layer whose sums are updated by each value.",
        "nade_categorical": "NADE for values of several levels.",
        "rnade": "NADE for real numbers: a mixture for every column of a table.",
        "eonade": "NADE trained for every order of the sites; fills in any missing part.",
        "made": "Masked autoencoder for distribution estimation: one pass gives all conditionals.",
    },
    "Images": {
        "pixel_cnn": "Masked convolutions in residual blocks.",
        "gated_pixel_cnn": "Masked convolutions in two stacks, without a blind spot.",
        "pixel_cnn_pp": "PixelCNN++: colour pixels drawn at once, features at three resolutions.",
        "row_lstm": "Recurrent layers that run down the rows.",
        "diagonal_bilstm": "Recurrent layers that see all pixels above and to the left.",
        "pixel_transformer": "Attention over the pixels before each pixel.",
    },
    "Text and sound": {
        "rnn": "A simple recurrent network that writes characters.",
        "gru": "A recurrent network with gated recurrent units.",
        "lstm": "A recurrent network with long short-term memory.",
        "attention_lstm": "An LSTM that attends to its own earlier outputs.",
        "transformer": "A decoder-only Transformer.",
        "wavenet": "Dilated causal convolutions that write sound at 256 mu-law levels.",
        "wavenet_16bit": "WaveNet for sound of 16 bits.",
    },
    "Labels: classifiers of images and frames": {
        "cnn": "Classifies images by convolutions and a linear layer.",
        "frames": "Classifies sequences of frames, or each frame, by a recurrent network.",
        "ram": "Classifies images from a few glimpses, and learns where to look.",
        "probe": "A linear classifier of the features of a trained image model (--encoder RUN).",
    },
    "Drawn from noise: a bound of the likelihood, none, or (MAF) an exact one": {
        "vae": "Variational autoencoder: a Gaussian code, and a bound of the likelihood.",
        "iwae": "The VAE with the tighter bound of several weighted codes.",
        "draw_network": "DRAW: draws an image step by step, with attention or without.",
        "gan": "A generator and a critic that are trained against each other.",
        "wgan_gp": "The same with the Wasserstein loss and a penalty on the critic's slope.",
        "autoencoder": "A short code of each example; no generator and no likelihood.",
        "maf": "Masked autoregressive flow: a stack of MADEs that turns noise into real numbers.",
        "diffusion": "Takes noise away in many small steps (DDPM), or in few (DDIM).",
    },
    "Translations and captions": {
        "seq2seq": "Reads a text into one vector, and writes another text from it.",
        "seq2seq_attention": "Reads a text, and attends to its words while writing another.",
        "captioner": "Describes an image from one vector of it.",
        "show_attend_tell": "Describes an image, attending to a part of it at every word.",
    },
}


def lines() -> Iterator[str]:
    """The list, line by line."""
    width = max(len(name) for models in FAMILIES.values() for name in models)
    for title, models in FAMILIES.items():
        yield f"{title}:"
        yield from (f"  {name:{width}}  {sentence}" for name, sentence in models.items())
        yield ""
    yield "A model in a file of your own is FILE.py:Class (docs/adding_a_model.md)."
