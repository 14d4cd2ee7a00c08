"""The smallest networks of every kind, in a folder of their own: untrained, but of the right shapes."""

from emo2.models.audio import TINY as AUDIO
from emo2.models.checkpoints.format import save_checkpoint
from emo2.models.motion import MotionConfig
from emo2.models.pose.puppet_estimator import TINY as ESTIMATOR
from emo2.models.video.clip_vision import TINY as CLIP
from emo2.models.video.config import VideoConfig
from emo2.models.video.vae import TINY as VAE

CONFIGS = {
    "vae": {**VAE, "block_out_channels": [8, 8, 8, 8], "norm_num_groups": 4, "latent_channels": 4},
    "audio": {**AUDIO, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16,
              "conv_dim": [8] * 7, "num_conv_pos_embedding_groups": 2},
    "clip_vision": {**CLIP, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1,
                    "num_attention_heads": 2, "projection_dim": 16},
    "motion": MotionConfig(width=16, depth=1, heads=2, audio_layers=2, audio_width=16, image_width=16).to_dict(),
    "video": VideoConfig(
        size=(128, 96), latent_channels=4, latent_scale=1.0, widths=(8, 8), attention_levels=(True, True),
        layers_per_block=1, heads=2, temporal_heads=2, norm_groups=4, audio_dim=16, audio_layers=2, audio_width=8,
        guider_channels=(4, 4, 4, 4), clip_frames=8, motion_frames=2, positions=10, prediction_type="v_prediction",
        zero_terminal_snr=True, timestep_spacing="trailing",
    ).to_dict(),
    "puppet_estimator": {**ESTIMATOR, "widths": [8, 8, 8, 8], "groups": 4},
}  # fmt: skip


def write_networks(folder, *kinds):
    """Untrained checkpoints of these kinds (all by default) under the pack's names."""
    from emo2.evaluation.tiny.networks import NAMES

    for kind in kinds or CONFIGS:
        save_checkpoint(folder / NAMES[kind], kind, CONFIGS[kind], {}, untrained=1)
    return folder
