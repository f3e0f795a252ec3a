"""Are planted annotation styles and wrong labels found on real MRI, and what does it gain over plain nnU-Net?"""
