"""Language models behind one interface: LangChain chat models and scripts, cached, checked, retried, budgeted."""
