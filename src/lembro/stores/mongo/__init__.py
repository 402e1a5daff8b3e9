"""Sessions in MongoDB. (Experimental.)"""
