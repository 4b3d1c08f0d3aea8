"""The names of encoders that a recipe may use; strings only."""

# The one whose weights the authors released: it may have a `path`.
RELEASED = "resnet256_6_2_1"

# kerasmi's own image encoders, then KerasHub's residual networks.
IMAGE_PRESETS = (
    "resnet_phantom",
    "resnet_paper",
    RELEASED,
    "resnet_18_imagenet",
    "resnet_50_imagenet",
    "resnet_101_imagenet",
    "resnet_152_imagenet",
    "resnet_v2_50_imagenet",
    "resnet_v2_101_imagenet",
    "resnet_vd_18_imagenet",
    "resnet_vd_34_imagenet",
    "resnet_vd_50_imagenet",
    "resnet_vd_50_ssld_imagenet",
    "resnet_vd_50_ssld_v2_imagenet",
    "resnet_vd_50_ssld_v2_fix_imagenet",
    "resnet_vd_101_imagenet",
    "resnet_vd_101_ssld_imagenet",
    "resnet_vd_152_imagenet",
    "resnet_vd_200_imagenet",
)

# The one whose weights are the user's own: it needs `text_encoder.path`.
CLINICAL_BERT = "clinical_bert"

# kerasmi's own text encoders, then KerasHub's BERT.
TEXT_PRESETS = (
    "bert_phantom",
    CLINICAL_BERT,
    "bert_tiny_en_uncased",
    "bert_small_en_uncased",
    "bert_medium_en_uncased",
    "bert_base_en_uncased",
    "bert_base_en",
    "bert_base_multi",
    "bert_large_en_uncased",
    "bert_large_en",
)
