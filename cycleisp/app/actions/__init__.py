"""What the page does with files, without Gradio."""
