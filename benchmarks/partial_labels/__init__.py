"""How well partly annotated cases are learnt from, beside what else one could do with them."""
