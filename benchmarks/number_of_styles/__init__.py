"""How often does `find_clusters` find the right number of styles in sets of points drawn at random?"""
