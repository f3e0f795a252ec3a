"""Do latents separate two real observers (CHASE_DB1), and what do they mean if not?"""
