"""Runs scenarios written in the vocabulary of the NixOS test driver."""
