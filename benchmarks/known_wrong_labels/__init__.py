"""Does `hypersort rank` find wrong labels that others have reported?"""
