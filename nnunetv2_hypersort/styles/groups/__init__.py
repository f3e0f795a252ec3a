"""Known groups of cases (institutes, scanners, raters, years): are their labels annotated differently, and how?"""
