#!/usr/bin/env python3
"""Fetch what the tests of real peers need."""
