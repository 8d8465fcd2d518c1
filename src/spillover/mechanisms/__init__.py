"""STEP 6a: through which channel does agglomeration work, at home and next door?"""
