"""STEP 3: is there spatial dependence, and which model does it ask for?"""
