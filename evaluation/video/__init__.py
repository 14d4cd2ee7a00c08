"""Metrics of the generated video: the papers' (SSIM, PSNR, FID, FVD, HKC, HKV, CSIM, Sync-C, Sync-D, EFID) and, where
the truth is known, the puppets' own (hands, mouth, identity, arms, drift)."""
