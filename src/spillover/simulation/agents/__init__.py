"""The third tier of the reference system: firms, researchers, universities, institutes and governments that act."""
